package nmea

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gonmea "github.com/adrianmo/go-nmea"
	"github.com/creack/pty"

	"github.com/fieldpost/fieldpost/drivers/bus"
	"github.com/fieldpost/fieldpost/drivers/drivertest"
	"github.com/fieldpost/fieldpost/gateway"
)

// sentence puts a checksum to the body of one.
func sentence(body string) string { return "$" + body + "*" + gonmea.Checksum(body) }

func show(readings []gateway.Reading) string {
	var all []string
	for _, r := range readings {
		value := r.Value.String()
		if n, ok := r.Value.Number(); ok {
			value = fmt.Sprintf("%.6g", n)
		}
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s=%s %s %s", r.Name, value, r.Unit, strings.TrimPrefix(string(r.Quality), "good"))))
	}
	return strings.Join(all, ", ")
}

const (
	rmc1 = "GNRMC,123519.00,A,4807.038,N,01131.000,E,022.4,084.4,230326,,,A"
	gga1 = "GNGGA,123519.00,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,"
	fix1 = "fix=gps, latitude=48.1173 lat, longitude=11.5167 lon, speed=11.5236 m/s, course=84.4 deg, altitude=545.4 m, satellites=8, hdop=0.9"
)

func TestSentencesAreRead(t *testing.T) {
	for name, c := range map[string]struct {
		bodies []string
		want   string // the readings of the last
	}{
		"a whole fix":       {[]string{rmc1, gga1}, fix1},
		"in another order":  {[]string{gga1, rmc1}, "fix=gps, latitude=48.1173 lat, longitude=11.5167 lon, altitude=545.4 m, satellites=8, hdop=0.9, speed=11.5236 m/s, course=84.4 deg"},
		"half a fix":        {[]string{rmc1}, ""},
		"only RMC":          {[]string{"GPRMC,123519,A,4807.038,S,01131.000,W,,,230326,,", "GPRMC,123520,A,4807.038,S,01131.000,W,,,230326,,"}, "fix=gps, latitude=-48.1173 lat, longitude=-11.5167 lon"},
		"only GGA":          {[]string{gga1, "GNGGA,123520.00,4807.038,N,01131.000,E,2,08,0.9,545.4,M,46.9,M,,"}, "fix=gps, latitude=48.1173 lat, longitude=11.5167 lon, altitude=545.4 m, satellites=8, hdop=0.9"},
		"VTG gives speed":   {[]string{gga1, "GNVTG,84.4,T,,M,10,N,18.52,K,A", "GNRMC,123519.00,A,4807.038,N,01131.000,E,,,230326,,,D"}, "fix=gps, latitude=48.1173 lat, longitude=11.5167 lon, altitude=545.4 m, satellites=8, hdop=0.9, course=84.4 deg, speed=5.14444 m/s"},
		"RTK":               {[]string{rmc1, "GNGGA,123519.00,4807.038,N,01131.000,E,4,08,0.9,545.4,M,46.9,M,,"}, strings.Replace(fix1, "gps", "rtk", 1)},
		"differential, RMC": {[]string{"GNRMC,123519.00,A,4807.038,N,01131.000,E,,,230326,,,D", "GNRMC,123520.00,A,4807.038,N,01131.000,E,,,230326,,,D"}, "fix=dgps, latitude=48.1173 lat, longitude=11.5167 lon"},
		"dead reckoning": {
			[]string{"GNGGA,123519.00,4807.038,N,01131.000,E,6,00,,,M,,M,,", "GNRMC,123519.00,A,4807.038,N,01131.000,E,,,230326,,,E"},
			"fix=estimated, latitude=48.1173 lat uncertain, longitude=11.5167 lon uncertain, satellites=0  uncertain",
		},
		"cold start":        {[]string{"GPRMC,,V,,,,,,,,,,N", "GPGGA,,,,,,0,00,99.99,,,,,,"}, "fix=none, satellites=0"},
		"cold start, again": {[]string{"GPRMC,,V,,,,,,,,,,N", "GPRMC,,V,,,,,,,,,,N"}, "fix=none"},
		"they disagree":     {[]string{rmc1, "GNGGA,123519.00,4807.038,N,01131.000,E,0,08,0.9,545.4,M,46.9,M,,"}, "fix=none, satellites=8"},
		"warning":           {[]string{"GNRMC,123519.00,V,4807.038,N,01131.000,E,022.4,084.4,230326,,,A", gga1}, "fix=none, satellites=8"},
		"simulated":         {[]string{strings.Replace(rmc1, ",,,A", ",,,S", 1), gga1}, "fix=none, satellites=8"},
		"not for us":        {[]string{"GPGSV,3,1,11,03,03,111,00,04,15,270,00,06,01,010,00,13,06,292,00"}, ""},
		"of the maker":      {[]string{"PMTK001,604,3"}, ""},
		"apparent wind":     {[]string{"WIMWV,045.0,R,10.0,N,A"}, "wind_angle=45 deg, wind_speed=5.14444 m/s"},
		"true wind":         {[]string{"WIMWV,214.8,T,36,K,A"}, "true_wind_angle=214.8 deg, true_wind_speed=10 m/s"},
		"invalid wind":      {[]string{"WIMWV,214.8,T,36,K,V"}, ""},
		"wind direction":    {[]string{"WIMWD,10.1,T,10.1,M,12,N,40,M"}, "wind_direction=10.1 deg, true_wind_speed=40 m/s"},
		"depth":             {[]string{"SDDPT,0.5,0.5,"}, "depth=0.5 m"},
		"depth again":       {[]string{"SDDPT,0.5,0.5,", "IIDBT,032.93,f,010.04,M,005.42,F"}, ""},
		"no depth":          {[]string{"IIDBT,,f,,M,,F"}, ""},
		"water":             {[]string{"INMTW,17.9,C"}, "water_temperature=17.9 Cel"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReceiver(Config{Every: time.Minute}, func(time.Time) {})
			var readings []gateway.Reading
			for _, body := range c.bodies {
				var err error
				if readings, err = r.decode([]byte(sentence(body))); err != nil {
					t.Fatalf("%s: %v", body, err)
				}
			}
			if got := show(readings); got != c.want {
				t.Errorf("%s\nwant %s", got, c.want)
			}
			quantities := Config{}.Quantities()
			for _, r := range readings {
				kind, known := quantities[r.Name]
				_, isNumber := kind.Number()
				if _, number := r.Value.Number(); !known || number != isNumber {
					t.Errorf("%s is not among the quantities as it is", r.Name)
				}
			}
		})
	}
}

func TestWrongSentencesAreRefused(t *testing.T) {
	for name, line := range map[string]string{
		"no checksum":      "$" + rmc1,
		"wrong checksum":   strings.Replace(sentence(rmc1), "022.4", "122.4", 1),
		"half":             sentence(rmc1)[20:],
		"two in one":       sentence(rmc1)[:30] + sentence(gga1),
		"no number":        sentence("GNRMC,123519.00,A,4807.038,N,01131.000,E,nan,084.4,230326,,,A"),
		"infinite":         sentence("GNGGA,123519.00,4807.038,N,01131.000,E,1,08,0.9,inf,M,46.9,M,,"),
		"67 minutes":       sentence("GNGGA,123519.00,4867.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,"),
		"91 degrees":       sentence("GNGGA,123519.00,9107.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,"),
		"a wrong side":     sentence("GNGGA,123519.00,4807.038,X,01131.000,E,1,08,0.9,545.4,M,46.9,M,,"),
		"another quality":  sentence("GNGGA,123519.00,4807.038,N,01131.000,E,8,08,0.9,545.4,M,46.9,M,,"),
		"too fast":         sentence("GNRMC,123519.00,A,4807.038,N,01131.000,E,9999,084.4,230326,,,A"),
		"too few fields":   sentence("GNRMC,123519.00,A"),
		"noise":            "\x00\xff$$$",
		"wind all around":  sentence("WIMWV,361.0,R,10.0,N,A"),
		"depth of nowhere": sentence("SDDPT,-5,0.5,"),
	} {
		r := newReceiver(Config{Every: time.Minute}, func(at time.Time) { t.Errorf("%s: it tells the time %v", name, at) })
		if readings, err := r.decode([]byte(line)); err == nil || readings != nil {
			t.Errorf("%s: %s (%v)", name, show(readings), err)
		}
	}
}

func TestTimeIsToldWithAFixOnly(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		{rmc1, "2026-03-23T12:35:19Z"},
		{"GNRMC,235959.25,A,4807.038,N,01131.000,E,,,311299,,,A", "1999-12-31T23:59:59.25Z"},
		{"GNRMC,123519.00,V,4807.038,N,01131.000,E,,,230326,,,A", ""},
		{"GNRMC,123519.00,A,,,,,,,230326,,,A", ""},
		{"GNRMC,123519.00,A,4807.038,N,01131.000,E,,,230326,,,E", ""},
		{"GNRMC,123519.00,A,4807.038,N,01131.000,E,,,310226,,,A", ""},
		{"GNRMC,256199.00,A,4807.038,N,01131.000,E,,,230326,,,A", ""},
		{"GNRMC,123519.00,A,4807.038,N,01131.000,E,,,,,,A", ""},
	} {
		got := ""
		r := newReceiver(Config{}, func(at time.Time) { got = at.Format(time.RFC3339Nano) })
		if _, err := r.decode([]byte(sentence(c.body))); err != nil || got != c.want {
			t.Errorf("%s: %s (%v), want %s", c.body, got, err, c.want)
		}
	}
}

// TestFixesArePaced: one in each period, and a change at once.
func TestFixesArePaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(Config{Every: 10 * time.Second}, func(time.Time) {})
		var got []string
		for second := range 35 {
			valid := "A"
			if second == 13 || second == 14 {
				valid = "V"
			}
			body := fmt.Sprintf("GPRMC,1200%02d,%s,4807.038,N,01131.000,E,,,230326,,", second, valid)
			readings, err := r.decode([]byte(sentence(body)))
			if err != nil {
				t.Fatal(err)
			}
			if len(readings) > 0 {
				got = append(got, fmt.Sprintf("%d %s", second-1, readings[0].Value)) // the epoch that has ended
			}
			time.Sleep(time.Second)
		}
		if want := "0 gps, 10 gps, 13 none, 15 gps, 20 gps, 30 gps"; strings.Join(got, ", ") != want {
			t.Errorf("%s, want %s", strings.Join(got, ", "), want)
		}
	})
}

func TestOnlySomeTalkers(t *testing.T) {
	r := newReceiver(Config{Every: time.Minute, Talkers: []string{"GN"}}, func(time.Time) {})
	for _, body := range []string{strings.Replace(rmc1, "GN", "GP", 1), gga1, strings.Replace(rmc1, "GN", "GL", 1)} {
		if readings, err := r.decode([]byte(sentence(body))); err != nil || readings != nil {
			t.Errorf("%s (%v)", show(readings), err)
		}
	}
	if readings, err := r.decode([]byte(sentence(rmc1))); err != nil || len(readings) == 0 {
		t.Errorf("%s (%v)", show(readings), err)
	}
}

func configOf(path string) Config {
	return Config{
		PortConfig: bus.PortConfig{Port: path, Baud: 9600, DataBits: 8, Parity: "none", StopBits: 1, DTR: bus.Keep, RTS: bus.Keep},
		Every:      10 * time.Second, Silence: 30 * time.Second,
	}
}

func wire(t *testing.T) (far *os.File, path string, buses *bus.Set) {
	t.Helper()
	far, near, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	buses = bus.New(bus.Options{})
	t.Cleanup(func() {
		near.Close()
		far.Close()
		if err := buses.Close(); err != nil {
			t.Error(err)
		}
	})
	return far, near.Name(), buses
}

func TestDriver(t *testing.T) {
	drivertest.Run(t, func(t *testing.T) any {
		_, path, buses := wire(t)
		d, err := New(configOf(path), buses)
		if err != nil {
			t.Fatal(err)
		}
		return d
	})
}

// TestReceiverOverATTY: a receiver that is set up, speaks and goes silent.
func TestReceiverOverATTY(t *testing.T) {
	far, path, buses := wire(t)
	config := configOf(path)
	config.Init, config.Silence = []string{sentence("PMTK220,1000") + "\r\n"}, 500*time.Millisecond
	d, err := New(config, buses)
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan string, 1)
	go func() {
		b := make([]byte, 100)
		n, _ := far.Read(b)
		heard <- string(b[:n])
		time.Sleep(200 * time.Millisecond)
		fmt.Fprintf(far, "%s\r\n%s\r\n", sentence(rmc1), sentence(gga1))
	}()
	told := ""
	d.KeepTime(func(at time.Time) { told = at.Format(time.RFC3339) })
	sink := &drivertest.Sink{}
	if err := d.Run(t.Context(), sink); !errors.Is(err, gateway.ErrTimeout) || !strings.Contains(err.Error(), "nothing that makes sense has come for 500ms") {
		t.Errorf("Run: %v", err)
	}
	if told != "2026-03-23T12:35:19Z" {
		t.Errorf("it tells the time %q", told)
	}
	if got := <-heard; got != "$PMTK220,1000*1F\r\n" {
		t.Errorf("the receiver has heard %q", got)
	}
	if batches := sink.Batches(); len(batches) != 1 || show(batches[0]) != fix1 {
		t.Errorf("%v", batches)
	}
}

func FuzzDecode(f *testing.F) {
	for _, body := range []string{rmc1, gga1, "WIMWV,045.0,R,10.0,N,A", "GNVTG,84.4,T,,M,10,N,18.52,K,A", "SDDPT,0.5,0.5,", "IIDBT,1,f,2,M,3,F", "INMTW,17.9,C", "WIMWD,1,T,1,M,1,N,4,M"} {
		f.Add([]byte(sentence(body)), false)
		f.Add([]byte(body), true)
	}
	f.Add([]byte("\\g:1-2-73874,n:157036*6B\\!AIVDM,1,1,,B,x,0*4D"), false)
	f.Fuzz(func(t *testing.T, line []byte, right bool) {
		if right { // past the checksum
			line = []byte(sentence(string(line)))
		}
		r := newReceiver(Config{}, func(at time.Time) {
			if at.Year() < 1980 || at.Year() > 2079 {
				t.Errorf("the time %v", at)
			}
		})
		for range 2 {
			readings, err := r.decode(line)
			if err != nil && readings != nil {
				t.Errorf("readings beside %v", err)
			}
			for _, reading := range readings {
				n, isNumber := reading.Value.Number()
				if _, err := reading.Value.MarshalJSON(); err != nil || isNumber && (n < -1e6 || n > 1e6) {
					t.Errorf("%s is %v (%v)", reading.Name, n, err)
				}
			}
		}
	})
}
