package hubsim

import (
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"time"
)

// rawDial is TLS to the hub without a client library.
func (r *rig) rawDial() net.Conn {
	r.t.Helper()
	dialer := &tls.Dialer{Config: r.trust()}
	conn, err := dialer.DialContext(r.t.Context(), "tcp", r.Info().MQTT)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return conn
}

// rawConnect is a CONNECT with a keep-alive in seconds.
func (r *rig) rawConnect(id string, keepAlive byte) []byte {
	text := func(dst []byte, s string) []byte {
		return append(binary.BigEndian.AppendUint16(dst, uint16(len(s))), s...)
	}
	body := append(text(nil, "MQTT"), 4, 0xC2, 0, keepAlive)
	body = text(text(text(body, id), "localhost/"+id), r.deviceToken(id))
	return append([]byte{0x10, byte(len(body)%128 | 128), byte(len(body) / 128)}, body...)
}

// readAll returns what comes until the connection ends.
func readAll(conn net.Conn) string {
	data, _ := io.ReadAll(conn)
	return string(data)
}
