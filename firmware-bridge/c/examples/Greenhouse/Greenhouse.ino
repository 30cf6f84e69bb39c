// Greenhouse: the moisture of soil at A0, and a pump at pin 7 that never runs without a
// gateway for longer than it was told to.
#include <FieldpostLink.h>

enum { Moisture = 1, Running = 2 };  // channels
enum { Pump = 1 };                   // actions
const uint8_t PumpPin = 7;

const char descriptor[] PROGMEM =
    "device name=greenhouse\n"
    "firmware name=greenhouse version=1.0.0\n"
    "channel id=1 name=moisture type=float unit=% min=0 max=100 every=10000\n"
    "channel id=2 name=running type=bool\n"
    "action id=1 name=pump idempotent lease\n"
    "arg name=on type=bool required safe=false\n";

FieldpostLink fieldpost(Serial);

void setPump(bool on) {
  digitalWrite(PumpPin, on ? HIGH : LOW);
  fieldpost.tell(Running, on);
}

void safe(void *, uint8_t) { setPump(false); }

uint8_t output(void *, uint8_t action) { return action == Pump ? 0 : FPL_NO_OUTPUT; }

uint8_t act(void *, uint8_t action, fpl_values *arguments, fpl_values *) {
  fpl_value on;
  if (action != Pump) return FPL_UNKNOWN;
  if (!fpl_take(arguments, &on) || on.type != FPL_BOOL || arguments->left) return FPL_INVALID;
  setPump(on.as.truth);
  return FPL_OK;
}

fpl_application application;

void setup() {
  pinMode(PumpPin, OUTPUT);
  Serial.begin(115200);
  application.descriptor = descriptor;
  application.length = sizeof descriptor - 1;
  application.timeout = 5000;  // ms without a gateway until the pump stops
  application.outputs = 1;
  application.safe = safe;
  application.output = output;
  application.act = act;
  fieldpost.begin(application);
}

void loop() {
  static uint32_t measured;
  fieldpost.poll();
  if (millis() - measured < 10000) return;
  measured = millis();
  fieldpost.tell(Moisture, analogRead(A0) * (100.0f / 1023));
}
