/* pins.c: voltages at the converter's inputs, levels at the digital ones, and a line for each
 * change of an output. */
#include "sim.h"

#include <avr_adc.h>
#include <avr_ioport.h>
#include <stdint.h>

static const char ports[] = "BCD";

static avr_t *chip;

/* on_output: simavr tells the value before the register has it, for all pins of the port. */
static void on_output(avr_irq_t *irq, uint32_t value, void *param) {
  static uint8_t told[sizeof ports - 1];
  uintptr_t port = (uintptr_t)param;
  avr_ioport_state_t state;
  uint8_t changed = (uint8_t)(told[port] ^ value);
  (void)irq;
  if (avr_ioctl(chip, AVR_IOCTL_IOPORT_GETSTATE(ports[port]), &state) < 0) return;
  for (int bit = 0; bit < 8; bit++)
    if (changed >> bit & state.ddr >> bit & 1) event("out %c%d %u", ports[port], bit, value >> bit & 1);
  told[port] = (uint8_t)value;
}

void pins_open(avr_t *avr) {
  chip = avr;
  for (uintptr_t i = 0; i < sizeof ports - 1; i++)
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_IOPORT_GETIRQ(ports[i]), IOPORT_IRQ_REG_PORT), on_output,
                            (void *)i);
}

void pins_adc(int channel, int millivolts) {
  if (channel < 0 || channel > 7 || millivolts < 0) return;
  avr_raise_irq(avr_io_getirq(chip, AVR_IOCTL_ADC_GETIRQ, ADC_IRQ_ADC0 + channel), (uint32_t)millivolts);
}

void pins_level(char port, int bit, int high) {
  if (port < 'B' || port > 'D' || bit < 0 || bit > 7) return;
  avr_raise_irq(avr_io_getirq(chip, AVR_IOCTL_IOPORT_GETIRQ(port), IOPORT_IRQ_PIN0 + bit), (uint32_t)high);
}
