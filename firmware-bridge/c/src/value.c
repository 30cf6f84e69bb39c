/* value.c: values (SPEC.md, section 2). */
#include <string.h>

#include "internal.h"

bool fpl_finite(uint32_t bits) { return (bits & 0x7F800000) != 0x7F800000; }

uint8_t fpl_size(uint8_t tag) {
  switch (tag) {
    case FPL_BOOL:
    case FPL_TEXT: return 1;
    case FPL_INT:
    case FPL_FLOAT: return 4;
    default: return 0;
  }
}

/* is_text tells whether bytes are UTF-8 (RFC 3629): no surrogates, nothing longer than it need be. */
static bool is_text(const uint8_t *at, uint8_t length) {
  while (length--) {
    uint8_t lead = *at++, more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1, lowest = 0x80, highest = 0xBF;
    if (lead < 0x80) continue;
    if (lead < 0xC2 || lead > 0xF4 || length < more) return false;
    if (lead == 0xE0) lowest = 0xA0;
    if (lead == 0xED) highest = 0x9F;
    if (lead == 0xF0) lowest = 0x90;
    if (lead == 0xF4) highest = 0x8F;
    length = (uint8_t)(length - more);
    for (; more; more--, lowest = 0x80, highest = 0xBF, at++)
      if (*at < lowest || *at > highest) return false;
  }
  return true;
}

bool fpl_take(struct fpl_values *values, struct fpl_value *value) {
  const uint8_t *data = values->at + 1;
  uint8_t used = 1;
  memset(value, 0, sizeof *value);
  if (!values->left) return true; /* left out */
  value->type = *values->at;
  if (value->type > FPL_TEXT) return false; /* of a quality other than good, too */
  used = (uint8_t)(used + fpl_size(value->type));
  if (values->left < used) return false;
  if (value->type == FPL_TEXT) {
    value->length = *data++;
    if (values->left - used < value->length || !is_text(data, value->length)) return false;
    used = (uint8_t)(used + value->length);
    value->as.text = (const char *)data;
  } else if (value->type == FPL_BOOL) {
    if (*data > 1) return false;
    value->as.truth = *data;
  } else if (value->type != FPL_NONE) {
    uint32_t bits = fpl_get32(data);
    if (value->type == FPL_FLOAT && !fpl_finite(bits)) return false;
    memcpy(&value->as, &bits, sizeof bits);
  }
  values->at += used;
  values->left = (uint8_t)(values->left - used);
  return true;
}

bool fpl_put(struct fpl_values *values, const struct fpl_value *value) {
  uint8_t used = (uint8_t)(1 + fpl_size(value->type));
  uint8_t *at = values->at;
  uint32_t bits;
  if (values->left < used || (value->type == FPL_TEXT && values->left - used < value->length)) return false;
  if (value->type == FPL_TEXT) used = (uint8_t)(used + value->length);
  values->at += used;
  values->left = (uint8_t)(values->left - used);
  *at++ = value->type;
  if (value->type == FPL_TEXT) {
    *at = value->length;
    memcpy(at + 1, value->as.text, value->length);
  } else if (value->type == FPL_BOOL) {
    *at = value->as.truth;
  } else if (value->type != FPL_NONE) {
    memcpy(&bits, &value->as, sizeof bits);
    fpl_put32(at, bits);
  }
  return true;
}
