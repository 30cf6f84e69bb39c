module github.com/fieldpost/fieldpost

go 1.26.0

require (
	github.com/adrianmo/go-nmea v1.10.0 // splits sentences of NMEA 0183
	github.com/alecthomas/kong v1.17.0 // the command lines
	github.com/coreos/go-systemd/v22 v22.7.0 // readiness and watchdog
	github.com/creack/pty v1.1.24 // tests only: serial ports without hardware
	github.com/dgraph-io/badger/v4 v4.9.6 // the store under queue and journal
	github.com/dgraph-io/ristretto/v2 v2.2.0 // tests only; Badger brings it anyway
	github.com/eclipse/paho.mqtt.golang v1.5.1 // MQTT
	github.com/expr-lang/expr v1.17.8 // derived values and conditions
	github.com/goccy/go-yaml v1.19.2 // the config file: strict, with line and column
	github.com/gorilla/websocket v1.5.3 // MQTT in WebSockets; paho brings it anyway
	github.com/klauspost/compress v1.18.0 // chunks of the queue; Badger brings it anyway
	github.com/mochi-mqtt/server/v2 v2.7.9 // hubsim and tests only
	github.com/prometheus/common v0.65.0 // tests only: the parser of what Prometheus scrapes
	github.com/santhosh-tekuri/jsonschema/v6 v6.0.3 // tests only
	github.com/simonvetter/modbus v1.6.4 // tests only: a Modbus server by others
	github.com/tarm/serial v0.0.0-20180830185346-98f6abe2eb07 // serial ports
	golang.org/x/crypto v0.59.0 // encryption of the queue
	golang.org/x/net v0.62.0 // bounds how many read the metrics at once; paho brings it anyway
	golang.org/x/sync v0.25.0 // the window of requests to a microcontroller
	golang.org/x/sys v0.50.0 // free space, locks, memory of the store
	google.golang.org/protobuf v1.36.7 // checksums of tables; Badger brings it anyway
	periph.io/x/conn/v3 v3.7.3 // buses, and doubles of them in tests
	periph.io/x/devices/v3 v3.7.4 // drivers of chips, where they are sound
	periph.io/x/host/v3 v3.8.5 // I2C, SPI and GPIO of the board
	pgregory.net/rapid v1.3.0 // tests only
)

require (
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/dustin/go-humanize v1.0.1 // indirect
	github.com/go-logr/logr v1.4.3 // indirect
	github.com/go-logr/stdr v1.2.2 // indirect
	github.com/goburrow/serial v0.1.0 // indirect
	github.com/google/flatbuffers v25.2.10+incompatible // indirect
	github.com/munnerz/goautoneg v0.0.0-20191010083416-a7dc8b61c822 // indirect
	github.com/prometheus/client_model v0.6.2 // indirect
	github.com/rs/xid v1.4.0 // indirect
	go.opentelemetry.io/auto/sdk v1.2.1 // indirect
	go.opentelemetry.io/otel v1.41.0 // indirect
	go.opentelemetry.io/otel/metric v1.41.0 // indirect
	go.opentelemetry.io/otel/trace v1.41.0 // indirect
	golang.org/x/text v0.44.0 // indirect
)
