package main

import (
	"fmt"
	"io"

	"github.com/fieldpost/fieldpost/gateway/service"
)

// printLink says what the line carries and how the data plan stands.
func printLink(out io.Writer, s service.Status) {
	u := s.Upstream
	total := u.Bytes.Total()
	fmt.Fprintf(out, "          %s out, %s in", bytesText(int64(total.Out)), bytesText(int64(total.In)))
	if u.MaxRate > 0 {
		fmt.Fprintf(out, ", at most %s/s out", bytesText(u.MaxRate))
	}
	b := u.Bytes
	fmt.Fprintf(out, ": telemetry %s, records %s, commands %s, keep-alive %s, uploads %s, connection %s\n",
		bytesText(int64(b.Telemetry.Sum())), bytesText(int64(b.Records.Sum())), bytesText(int64(b.Commands.Sum())),
		bytesText(int64(b.KeepAlive.Sum())), bytesText(int64(b.Uploads.Sum())), bytesText(int64(b.Connection.Sum())))
	if p := u.Plan; p != nil {
		fmt.Fprintf(out, "plan      %s of %s used, %s", bytesText(int64(p.Used)), bytesText(int64(p.Monthly)), planStates[string(p.State)])
		if p.Resets.After(s.Now) {
			fmt.Fprintf(out, "; a new month begins in %s", age(p.Resets.Sub(s.Now)))
		}
		fmt.Fprintln(out)
	}
}

// planStates says what each state of a data plan means.
var planStates = map[string]string{
	"free":     "nothing is held back",
	"thinning": "readings are THINNED",
	"held":     "telemetry is HELD",
}
