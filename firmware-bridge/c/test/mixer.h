/* mixer.h: the device of vectors/descriptor-mixer.txt, on hardware that a test holds in its hands. */
#ifndef MIXER_H
#define MIXER_H

#include "../src/fieldpost_link.h"

enum { MIXER_HELD = 8 };

struct mixer {
  struct fpl_link link;
  struct fpl_port port;
  struct fpl_application application;
  struct fpl_reading readings[MIXER_HELD];
  uint32_t leases[1];
  char descriptor[1024];

  uint8_t in[512]; /* on its way to the device */
  uint16_t in_at, in_length;
  uint8_t out[1 << 12]; /* what it has sent */
  uint16_t out_length;
  uint32_t now;
  int unsent; /* polls until the line is idle again */
  int slow;   /* what unsent becomes by each frame */
  const uint8_t *leaving; /* bytes that have not left yet; what is written over them meanwhile goes instead */
  uint8_t leaving_length;
  bool chatty; /* it logs what it is asked for */

  int on, doses, fed, restarts, safe;
  int32_t interval;
  uint8_t image;
};

/* mixer_start fits a mixer out, and starts it at an uptime. */
void mixer_start(struct mixer *mixer, const char *descriptor, uint32_t now);

#endif
