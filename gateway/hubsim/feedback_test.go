package hubsim

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

const feedbackPath = "/messages/serviceBound/feedback"

// feedback reads a batch: the outcomes by message id, and the lock.
func (r *rig) feedback() (outcomes map[string]string, lock string) {
	r.t.Helper()
	resp := r.request("GET", feedbackPath+apiVersion, "")
	defer resp.Body.Close()
	outcomes = map[string]string{}
	if resp.StatusCode == 204 {
		return outcomes, ""
	}
	var list []feedbackJSON
	if err := json.NewDecoder(resp.Body).Decode(&list); err != nil || resp.Header.Get("Content-Type") != "application/vnd.microsoft.iothub.feedback.json" {
		r.t.Fatalf("%d %v %v", resp.StatusCode, resp.Header, err)
	}
	for _, f := range list {
		i, _ := r.state.identity(f.Device)
		if f.Generation != i.GenerationID || f.Time == "" {
			r.t.Errorf("record %+v", f)
		}
		outcomes[f.ID] = f.Outcome
	}
	return outcomes, strings.Trim(resp.Header.Get("ETag"), `"`)
}

func TestFeedback(t *testing.T) {
	r := startRig(t)
	for _, ack := range []string{"", "none", "positive", "negative", "full"} {
		header := []string{"iothub-ack", ack}
		r.command("d1", "done-"+ack, "x", header...)
		r.command("d2", "purged-"+ack, "x", header...)
		r.command("d1", "late-"+ack, "x", append(header, "iothub-expiry", time.Now().Add(-time.Minute).Format(time.RFC3339))...)
	}
	p := r.connect("d1", nil)
	p.subscribe()
	for range 5 {
		p.receive().Ack()
	}
	eventually(t, "completed", func() bool { return r.states("d1")["done-full"] == stateCompleted })
	if answer := r.must("DELETE", "/devices/d2/commands"+apiVersion, ""); text(object(t, answer)) != `{"deviceId":"d2","moduleId":null,"totalMessagesPurged":5}` {
		t.Errorf("purged: %s", answer)
	}
	want := "map[done-full:Success done-positive:Success late-full:Expired late-negative:Expired purged-full:Purged purged-negative:Purged]"
	got, lock := r.feedback()
	if fmt.Sprint(got) != want {
		t.Errorf("feedback %v, want %s", got, want)
	}
	if again, _ := r.feedback(); len(again) != 0 {
		t.Errorf("another reader got %v", again)
	}
	r.must("POST", feedbackPath+"/"+lock+"/abandon"+apiVersion, "")
	r = r.restart()
	got, lock = r.feedback()
	if fmt.Sprint(got) != want {
		t.Errorf("feedback after a restart: %v, want %s", got, want)
	}
	r.must("DELETE", feedbackPath+"/"+lock+apiVersion, "")
	for _, bad := range []string{lock, "x"} {
		if status, _ := r.call("DELETE", feedbackPath+"/"+bad+apiVersion, ""); status != 412 {
			t.Errorf("lock %s: %d, want 412", bad, status)
		}
	}
	r = r.restart()
	if got, _ := r.feedback(); len(got) != 0 {
		t.Errorf("what was taken came again: %v", got)
	}
	if status, _ := r.call("DELETE", "/devices/d9/commands"+apiVersion, ""); status != 404 {
		t.Errorf("unknown device: %d", status)
	}
}

func TestFeedbackComesInBatches(t *testing.T) {
	r := startRig(t)
	past := time.Now().Add(-time.Minute)
	for i := range maxFeedbackBatch + 6 {
		if err := r.state.send(&command{Device: "d1", ID: fmt.Sprint(i), Ack: "full", Expiry: past}); err != nil {
			t.Fatal(err)
		}
	}
	first, _ := r.feedback()
	second, _ := r.feedback()
	if len(first) != maxFeedbackBatch || len(second) != 6 {
		t.Errorf("batches of %d and %d", len(first), len(second))
	}
	r.state.mu.Lock()
	err := r.state.forgetFeedback(time.Now().Add(feedbackTTL + time.Minute))
	left := len(r.state.feedback)
	r.state.mu.Unlock()
	if err != nil || left != 0 {
		t.Errorf("%d records after their time, %v", left, err)
	}
}
