package drivertest

// units are the codes that readings may have: those of RFC 8428, section 12.1,
// that sensors of a board need, some of RFC 8798, and UCUM's By for bytes.
var units = []string{
	"", // counts, states, ratios without a unit
	"m", "m2", "m3", "mm", "km", "l", "g", "kg", "s", "ms", "min", "h",
	"m/s", "m/s2", "km/h", "m3/s", "m3/h", "l/s", "l/h", "mm/h", "kg/m3",
	"A", "mA", "V", "mV", "W", "kW", "VA", "var", "J", "Wh", "kWh", "C", "Ah", "F", "Ohm", "S", "S/m", "Wb", "T", "H",
	"K", "Cel", "Pa", "hPa", "N", "%RH", "%", "/", "pH", "ppm", "mg/l", "ug/m3", "NTU",
	"Hz", "1/s", "1/min", "beat/min", "count", "rad", "rad/s", "deg", "lat", "lon", "sr",
	"cd", "lm", "lx", "cd/m2", "W/m2", "dB", "dBW", "dBm", "Bspl",
	"By", "bit", "bit/s", "mol", "Bq", "Gy", "Sv", "kat", "%EL", "EL",
}
