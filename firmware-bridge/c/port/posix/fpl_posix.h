/* fpl_posix.h: the port for a PC: a program that plays a microcontroller, its line a pty. */
#ifndef FPL_POSIX_H
#define FPL_POSIX_H

#include "../../src/fieldpost_link.h"

/* fpl_posix_open fills in the port. path is made a symbolic link to the pty. argv is that of main:
 * the program starts itself anew for a reset, and when two seconds pass without fpl_poll. */
void fpl_posix_open(struct fpl_port *port, const char *path, char **argv);

void fpl_posix_reset(uint8_t cause);
void fpl_posix_plug(void);
void fpl_posix_unplug(void);
void fpl_posix_mute(bool mute); /* nothing passes on the line */

/* fpl_posix_wait lets time pass until a byte comes, a millisecond at most. */
void fpl_posix_wait(void);

/* fpl_posix_event tells on stdout, one line, what has happened. */
void fpl_posix_event(const char *format, ...);

#endif
