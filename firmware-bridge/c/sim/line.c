/* line.c: UART 0 of the chip on a pty. */
#include "sim.h"

#include <avr_uart.h>
#include <fcntl.h>
#include <pty.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static struct {
  const char *path;
  int master, slave; /* -1: unplugged */
  int muted, takes;  /* takes: the UART has room for another character */
  avr_irq_t *input;
  unsigned char out[4096];
  size_t waiting; /* in out */
  unsigned long received, sent, dropped;
} line = {.master = -1, .slave = -1, .takes = 1};

static void flush(void) {
  ssize_t n;
  if (!line.waiting || line.master < 0) return;
  n = write(line.master, line.out, line.waiting);
  if (n <= 0) return;
  line.waiting -= (size_t)n;
  memmove(line.out, line.out + n, line.waiting);
}

static void on_output(avr_irq_t *irq, uint32_t value, void *param) {
  (void)irq, (void)param;
  if (line.waiting == sizeof line.out) flush();
  if (line.master < 0 || line.muted || line.waiting == sizeof line.out) {
    line.dropped++; /* nobody reads: the characters are lost on the wire */
    return;
  }
  line.out[line.waiting++] = (unsigned char)value;
  line.sent++;
}

static void on_xon(avr_irq_t *irq, uint32_t value, void *param) {
  (void)irq, (void)value, (void)param;
  line.takes = 1;
}

static void on_xoff(avr_irq_t *irq, uint32_t value, void *param) {
  (void)irq, (void)value, (void)param;
  line.takes = 0;
}

static avr_irq_t *uart(avr_t *avr, int index) {
  return avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), index);
}

void line_open(avr_t *avr, const char *path) {
  uint32_t flags = 0; /* no echo on stdout, no sleep when the UART is polled */
  avr_ioctl(avr, AVR_IOCTL_UART_SET_FLAGS('0'), &flags);
  line.path = path;
  line.input = uart(avr, UART_IRQ_INPUT);
  avr_irq_register_notify(uart(avr, UART_IRQ_OUTPUT), on_output, 0);
  avr_irq_register_notify(uart(avr, UART_IRQ_OUT_XON), on_xon, 0);
  avr_irq_register_notify(uart(avr, UART_IRQ_OUT_XOFF), on_xoff, 0);
  line_plug();
}

void line_plug(void) {
  char name[64];
  struct termios mode;
  if (line.master >= 0) return;
  if (openpty(&line.master, &line.slave, name, NULL, NULL) < 0) die("openpty");
  tcgetattr(line.slave, &mode);
  cfmakeraw(&mode);
  tcsetattr(line.slave, TCSANOW, &mode);
  fcntl(line.master, F_SETFL, O_NONBLOCK);
  /* The slave stays open here, so that a client that closes it hangs up nobody. */
  unlink(line.path);
  if (symlink(name, line.path) < 0) die("%s", line.path);
  event("plugged %s", line.path);
}

void line_unplug(void) {
  if (line.master < 0) return;
  unlink(line.path);
  close(line.slave);
  close(line.master);
  line.master = line.slave = -1;
  line.waiting = 0;
  event("unplugged");
}

void line_mute(int mute) { line.muted = mute; }

void line_reset(void) { line.takes = 1; }

void line_poll(void) {
  unsigned char c;
  if (line.master >= 0 && line.takes && read(line.master, &c, 1) == 1 && !line.muted) {
    line.received++;
    avr_raise_irq(line.input, c);
  }
  flush();
}

void line_stat(void) {
  event("line received=%lu sent=%lu dropped=%lu", line.received, line.sent, line.dropped);
}
