/* memory.c: flash and EEPROM as files. They are mapped, so that what the firmware has
 * programmed is there after SIGKILL, as it would be after a power cut. */
#include "sim.h"

#include <avr_eeprom.h>
#include <avr_flash.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { CUT = 99 }; /* exit code of a power cut */

static struct {
  int fresh;
  avr_t *avr;
  avr_eeprom_t *eeprom;
  uint8_t before[4096]; /* what it held before the byte that is being programmed */
  int (*spm)(avr_io_t *, uint32_t, void *); /* simavr's own */
  unsigned long spms, spm_cut;              /* pages erased or written; where power fails, 0: never */
  unsigned long bytes, byte_cut;            /* of EEPROM, likewise */
} memory;

static uint8_t *map(const char *path, size_t size, int *fresh) {
  uint8_t *at;
  int fd = open(path, O_RDWR | O_CREAT, 0644);
  off_t was = lseek(fd, 0, SEEK_END);
  if (fd < 0 || ftruncate(fd, (off_t)size) < 0) die("%s", path);
  at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED) die("%s", path);
  *fresh = was != (off_t)size;
  if (*fresh) memset(at, 0xff, size);
  return at;
}

/* tear leaves the page as a power cut does: half of it old, half of it new. */
static void tear(const avr_flash_t *flash, int erase) {
  avr_t *avr = memory.avr;
  uint32_t page = (avr->data[R_ZL] | avr->data[R_ZH] << 8) & ~(flash->spm_pagesize - 1u);
  for (int i = 0; i < flash->spm_pagesize / 2; i++)
    avr->flash[page + (uint32_t)i] = erase ? 0xff : ((const uint8_t *)flash->tmppage)[i];
  event("cut spm %s page 0x%x", erase ? "erase" : "write", page);
  _exit(CUT);
}

static int on_spm(avr_io_t *io, uint32_t ctl, void *param) {
  const avr_flash_t *flash = (const avr_flash_t *)io;
  if (ctl == AVR_IOCTL_FLASH_SPM) {
    int erase = avr_regbit_get(memory.avr, flash->pgers);
    int write = avr_regbit_get(memory.avr, flash->pgwrt);
    if ((erase || write) && ++memory.spms == memory.spm_cut) tear(flash, erase);
  }
  return memory.spm(io, ctl, param);
}

enum { BOTH, ERASE, WRITE /* how a byte of EEPROM is programmed: bits EEPM of EECR */ };

static uint8_t programmed(int mode, uint8_t old, uint8_t new) {
  return mode == ERASE ? 0xff : mode == WRITE ? old & new : new;
}

/* half_programmed: some bits have got where they should, or the byte is erased and not yet written. */
static uint8_t half_programmed(int mode, uint8_t old, uint8_t new) {
  return mode == ERASE ? old | 0x0f : mode == WRITE ? old & (new | 0x0f) : 0xff;
}

/* on_eecr comes after simavr's own handler, which takes each mode for both. */
static void on_eecr(avr_t *avr, avr_io_addr_t addr, uint8_t value, void *param) {
  const avr_eeprom_t *ee = memory.eeprom;
  unsigned at = (avr->data[ee->r_eearl] | (unsigned)avr->data[ee->r_eearh] << 8) % ee->size;
  uint8_t starts = (uint8_t)(1u << ee->eempe.bit | 1u << ee->eepe.bit), new = avr->data[ee->r_eedr];
  int mode = value >> ee->eepm[0].bit & 3;
  (void)addr, (void)param;
  if ((value & starts) != starts) return;
  if (++memory.bytes == memory.byte_cut) {
    ee->eeprom[at] = half_programmed(mode, memory.before[at], new);
    event("cut eeprom byte 0x%x", at);
    _exit(CUT);
  }
  memory.before[at] = ee->eeprom[at] = programmed(mode, memory.before[at], new);
}

void memory_open(avr_t *avr, const char *flash, const char *eeprom) {
  int fresh;
  memory.avr = avr;
  memory.fresh = 1;
  if (flash) avr->flash = map(flash, avr->flashend + 1, &memory.fresh);
  for (avr_io_t *io = avr->io_port; io; io = io->next) {
    if (!strcmp(io->kind, "eeprom")) {
      memory.eeprom = (avr_eeprom_t *)io;
      if (eeprom) memory.eeprom->eeprom = map(eeprom, memory.eeprom->size, &fresh);
      memcpy(memory.before, memory.eeprom->eeprom, memory.eeprom->size);
      avr_register_io_write(avr, memory.eeprom->r_eecr, on_eecr, NULL);
    }
    if (!strcmp(io->kind, "flash")) {
      memory.spm = io->ioctl;
      io->ioctl = on_spm;
    }
  }
}

int memory_fresh(void) { return memory.fresh; }

/* memory_load copies an image, FILE@HEXADDRESS, into the flash. */
void memory_load(avr_t *avr, const char *spec) {
  char path[4096];
  const char *at = strrchr(spec, '@');
  unsigned long address = at ? strtoul(at + 1, NULL, 16) : 0;
  FILE *file;
  snprintf(path, sizeof path, "%.*s", (int)(at ? at - spec : (long)strlen(spec)), spec);
  if (address > avr->flashend) die("%s is beyond the flash", spec);
  file = fopen(path, "rb");
  if (!file) die("%s", path);
  if (!fread(avr->flash + address, 1, avr->flashend + 1 - address, file)) die("%s is empty", path);
  fclose(file);
}

void memory_cut_spm(unsigned long n) { memory.spm_cut = n ? memory.spms + n : 0; }

void memory_cut_eeprom(unsigned long n) { memory.byte_cut = n ? memory.bytes + n : 0; }

void memory_stat(void) { event("memory spm=%lu eeprom=%lu", memory.spms, memory.bytes); }
