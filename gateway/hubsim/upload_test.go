package hubsim

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// ticket is the answer to the beginning of an upload.
type ticket struct {
	CorrelationID, HostName, ContainerName, BlobName, SASToken string
}

// url is that of the blob, and what a client adds to the query.
func (k ticket) path(more string) string {
	return "/" + k.ContainerName + "/" + strings.ReplaceAll(url.PathEscape(k.BlobName), "%2F", "/") + k.SASToken + more
}

func blockPath(k ticket, id string) string {
	return k.path("&comp=block&blockid=" + url.QueryEscape(base64.StdEncoding.EncodeToString([]byte(id))))
}

func blockList(ids ...string) string {
	text := `<?xml version="1.0" encoding="utf-8"?><BlockList>`
	for _, id := range ids {
		text += "<Latest>" + base64.StdEncoding.EncodeToString([]byte(id)) + "</Latest>"
	}
	return text + "</BlockList>"
}

const version = "?api-version=2021-04-12"

func (r *rig) begin(device, blob string) ticket {
	r.t.Helper()
	body, _ := json.Marshal(map[string]string{"blobName": blob})
	var k ticket
	answer := r.must("POST", "/devices/"+device+"/files"+version, string(body), "Authorization", r.deviceToken(device))
	if err := json.Unmarshal([]byte(answer), &k); err != nil {
		r.t.Fatal(err)
	}
	return k
}

// wantStatus makes a request that ends in a status and returns the body.
func (r *rig) wantStatus(status int, method, path, body string, header ...string) string {
	r.t.Helper()
	got, text := r.call(method, path, body, header...)
	if got != status {
		r.t.Fatalf("%s %s: %d %s, want %d", method, path, got, text, status)
	}
	return text
}

// TestUploadInBlocks goes the way of a device that knows all of the protocol,
// over a restart of the hub.
func TestUploadInBlocks(t *testing.T) {
	r := startRig(t)
	k := r.begin("d1", "logs/day 1#ü.txt")
	if k.BlobName != "d1/logs/day 1#ü.txt" || k.ContainerName != container || k.HostName != strings.Replace(r.Info().HTTPS, "127.0.0.1", "localhost", 1) ||
		k.CorrelationID == "" || !strings.HasPrefix(k.SASToken, "?") {
		t.Fatalf("ticket %+v", k)
	}
	r.wantStatus(404, "GET", k.path("&comp=blocklist&blocklisttype=all"), "")
	r.wantStatus(201, "PUT", blockPath(k, "b1"), "one ")
	r.wantStatus(201, "PUT", blockPath(k, "b3"), "three")
	r = r.restart()
	list := r.wantStatus(200, "GET", k.path("&comp=blocklist&blocklisttype=all"), "")
	if !strings.Contains(list, "<UncommittedBlocks><Block><Name>YjE=</Name><Size>4</Size></Block><Block><Name>YjM=</Name><Size>5</Size></Block></UncommittedBlocks>") {
		t.Errorf("block list %s", list)
	}
	r.wantStatus(400, "PUT", k.path("&comp=blocklist"), blockList("b1", "b2", "b3"))
	r.wantStatus(201, "PUT", blockPath(k, "b2"), "two  ")
	r.wantStatus(201, "PUT", blockPath(k, "b2"), "two ") // again: the last counts
	sum := md5.Sum([]byte("one two three"))
	told := base64.StdEncoding.EncodeToString(sum[:])
	r.wantStatus(201, "PUT", k.path("&comp=blocklist"), blockList("b1", "b2", "b3"), "x-ms-blob-content-md5", told, "x-ms-blob-content-type", "text/plain")
	resp := r.request("GET", k.path(""), "")
	defer resp.Body.Close()
	if text := r.must("GET", k.path(""), ""); text != "one two three" || resp.Header.Get("Content-MD5") != told || resp.Header.Get("Content-Type") != "text/plain" {
		t.Errorf("the blob holds %q, %v", text, resp.Header)
	}
	if text := r.must("GET", "/hubsim/blobs/"+url.PathEscape(k.BlobName), ""); text != "one two three" {
		t.Errorf("the hub shows %q", text)
	}
	report := fmt.Sprintf(`{"correlationId":%q,"isSuccess":true,"statusCode":201,"statusDescription":"Created"}`, k.CorrelationID)
	token := []string{"Authorization", r.deviceToken("d1")}
	r.wantStatus(204, "POST", "/devices/d1/files/notifications"+version, report, token...)
	r.wantStatus(400, "POST", "/devices/d1/files/notifications"+version, report, token...)
	r = r.restart()
	if list := r.uploads.list("d1"); len(list) != 1 || !list[0].Report.OK || list[0].Report.Bytes != 13 {
		t.Errorf("uploads %+v", list)
	}
}

// TestUploadAsTheNodeSDKDoes: the correlation id in the path, and no body that
// says it.
func TestUploadAsTheNodeSDKDoes(t *testing.T) {
	r := startRig(t)
	k := r.begin("d1", "a.bin")
	r.wantStatus(201, "PUT", blockPath(k, "000000"), "content", "x-ms-version", "2020-10-02", "x-ms-client-request-id", "c1")
	r.wantStatus(201, "PUT", k.path("&comp=blocklist"), blockList("000000"))
	path := "/devices/d1/files/notifications/" + url.QueryEscape(k.CorrelationID) + version
	r.wantStatus(204, "POST", path, `{"isSuccess":true,"statusCode":201,"statusDescription":{"any":"thing"}}`, "Authorization", r.deviceToken("d1"))
	if list := r.uploads.list(""); len(list) != 1 || list[0].Report == nil {
		t.Errorf("uploads %+v", list)
	}
}

func TestPutBlob(t *testing.T) {
	r := startRig(t)
	k := r.begin("d1", "a.txt")
	r.wantStatus(400, "PUT", k.path(""), "text")
	r.wantStatus(400, "PUT", k.path(""), "text", "x-ms-blob-type", "BlockBlob", "Content-MD5", "AAAA")
	r.wantStatus(201, "PUT", k.path(""), "text", "x-ms-blob-type", "BlockBlob")
	if text := r.must("GET", k.path(""), ""); text != "text" {
		t.Errorf("the blob holds %q", text)
	}
	// What was committed can be kept in part.
	r.wantStatus(201, "PUT", blockPath(k, "b1"), "one")
	r.wantStatus(201, "PUT", blockPath(k, "b2"), "two")
	r.wantStatus(201, "PUT", k.path("&comp=blocklist"), blockList("b1", "b2"))
	r.wantStatus(201, "PUT", blockPath(k, "b3"), "three")
	list := strings.Replace(blockList("b2", "b3"), "<Latest>YjI=</Latest>", "<Committed>YjI=</Committed>", 1)
	r.wantStatus(201, "PUT", k.path("&comp=blocklist"), list)
	if text := r.must("GET", k.path(""), ""); text != "twothree" {
		t.Errorf("the blob holds %q", text)
	}
}

func TestUploadsAreBounded(t *testing.T) {
	r := startRig(t)
	var all []ticket
	for i := range maxUploads {
		all = append(all, r.begin("d1", fmt.Sprint("f", i)))
	}
	token := []string{"Authorization", r.deviceToken("d1")}
	if text := r.wantStatus(403, "POST", "/devices/d1/files"+version, `{"blobName":"more"}`, token...); !strings.Contains(text, "ErrorCode:IotHubTooManyFileUploads") {
		t.Error(text)
	}
	r.begin("d2", "of another device")
	report := fmt.Sprintf(`{"correlationId":%q,"isSuccess":false,"statusCode":500,"statusDescription":"no"}`, all[3].CorrelationID)
	r.wantStatus(204, "POST", "/devices/d1/files/notifications"+version, report, token...)
	r.begin("d1", "more")
}

func TestUploadsOfStrangers(t *testing.T) {
	r := startRigIn(t, t.TempDir(), Options{UploadTTL: time.Second})
	k := r.begin("d1", "a.txt")
	const files = "/devices/d1/files" + version
	for name, header := range map[string][]string{
		"no token":            nil,
		"another device's":    {"Authorization", r.deviceToken("d2")},
		"a token of back end": {"Authorization", sas("localhost", r.secrets.Policies["service"], "service", time.Now().Add(time.Hour))},
		"ended":               {"Authorization", sas("localhost%2Fdevices%2Fd1", r.key("d1"), "", time.Now())},
	} {
		if status, text := r.call("POST", files, `{"blobName":"a"}`, header...); status != 401 {
			t.Errorf("%s: %d %s, want 401", name, status, text)
		}
	}
	other := k
	other.BlobName = "d2/a.txt"
	r.wantStatus(403, "PUT", blockPath(other, "b1"), "x")
	r.wantStatus(403, "PUT", blockPath(ticket{ContainerName: container, BlobName: k.BlobName, SASToken: "?sp=rw"}, "b1"), "x")
	eventually(t, "the token of the upload ends", func() bool {
		status, text := r.call("PUT", blockPath(k, "b1"), "x")
		return status == 403 && strings.Contains(text, "<Code>AuthenticationFailed</Code>")
	})
	r.begin("d1", "b.txt") // in the place of the one that has expired
	token := []string{"Authorization", r.deviceToken("d1")}
	for _, body := range []string{"", "{", `{"blobName":""}`, `{"blobName":"a//b"}`, `{"blobName":"a./b"}`, `{"blobName":"a\u0000"}`, `{"blobName":"` + strings.Repeat("x", 1025) + `"}`, `{"blobName":"a"} {}`} {
		r.wantStatus(400, "POST", files, body, token...)
	}
	for _, body := range []string{"", `{"isSuccess":true}`, `{"correlationId":"x","isSuccess":true}`, `{"correlationId":"` + k.CorrelationID + `"}`} {
		r.wantStatus(400, "POST", "/devices/d1/files/notifications"+version, body, token...)
	}
	r.wantStatus(400, "POST", "/devices/d1/files", `{"blobName":"a"}`, token...)
}

// TestFileNotifications: each finished upload is told until somebody has taken
// note.
func TestFileNotifications(t *testing.T) {
	r := startRig(t)
	const route = "/messages/serviceBound/filenotifications"
	r.wantStatus(204, "GET", route+version, "")
	for _, name := range []string{"a", "missing", "b"} {
		k := r.begin("d1", name)
		if name != "missing" {
			r.wantStatus(201, "PUT", k.path(""), "text", "x-ms-blob-type", "BlockBlob")
		}
		report := fmt.Sprintf(`{"correlationId":%q,"isSuccess":true,"statusCode":201}`, k.CorrelationID)
		r.wantStatus(204, "POST", "/devices/d1/files/notifications"+version, report, "Authorization", r.deviceToken("d1"))
	}
	r.says("there is no such blob")
	next := func() (name, lock string) {
		t.Helper()
		resp := r.request("GET", route+version, "")
		defer resp.Body.Close()
		var n struct {
			DeviceID, BlobURI, BlobName string
			BlobSizeInBytes             int64
			EnqueuedTimeUTC             time.Time
		}
		if err := json.NewDecoder(resp.Body).Decode(&n); err != nil || n.DeviceID != "d1" || n.BlobSizeInBytes != 4 || n.EnqueuedTimeUTC.IsZero() || !strings.HasSuffix(n.BlobURI, "/uploads/"+n.BlobName) {
			t.Fatalf("notification %+v, %v", n, err)
		}
		return n.BlobName, strings.Trim(resp.Header.Get("ETag"), `"`)
	}
	a, lockA := next()
	b, lockB := next()
	if a != "d1/a" || b != "d1/b" {
		t.Fatalf("notifications of %s and %s", a, b)
	}
	r.wantStatus(204, "GET", route+version, "") // both are locked
	r.wantStatus(204, "POST", route+"/"+lockA+"/abandon"+version, "")
	r.wantStatus(204, "DELETE", route+"/"+lockB+version, "")
	r.wantStatus(412, "DELETE", route+"/"+lockB+version, "")
	r = r.restart()
	if again, _ := next(); again != "d1/a" {
		t.Errorf("told again: %s", again)
	}
}

func TestFaultsOfTheStorage(t *testing.T) {
	r := startRig(t)
	token := []string{"Authorization", r.deviceToken("d1")}
	r.fault(`{"kind":"fail-upload","code":503}`)
	r.wantStatus(503, "POST", "/devices/d1/files"+version, `{"blobName":"a"}`, token...)
	k := r.begin("d1", "a")
	r.fault(`{"kind":"fail-block","device":"d1"}`)
	r.wantStatus(500, "PUT", blockPath(k, "b1"), "x")
	r.fault(`{"kind":"expire-upload-token"}`)
	r.wantStatus(403, "PUT", blockPath(k, "b1"), "x")
	r.fault(`{"kind":"cut-block"}`)
	req := func() error {
		resp, err := r.client.Post("https://"+r.Info().HTTPS+blockPath(k, "b1"), "", strings.NewReader(strings.Repeat("x", 100_000)))
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	if err := req(); err == nil {
		t.Error("the connection was not cut")
	}
	r.wantStatus(201, "PUT", blockPath(k, "b1"), "x")
	r.fault(`{"kind":"fail-notification","code":429}`)
	report := fmt.Sprintf(`{"correlationId":%q,"isSuccess":false}`, k.CorrelationID)
	r.wantStatus(429, "POST", "/devices/d1/files/notifications"+version, report, token...)
	r.wantStatus(204, "POST", "/devices/d1/files/notifications"+version, report, token...)
	r.wantStatus(400, "POST", "/hubsim/faults", `{"kind":"fail-block","code":200}`)
	r.wantStatus(400, "POST", "/hubsim/faults", `{"kind":"hang-block","code":500}`)
	// A storage that hangs lets the hub stop.
	r.fault(`{"kind":"hang-block"}`)
	hung := make(chan error, 1)
	go func() { hung <- req() }()
	eventually(t, "the fault has struck", func() bool { return len(r.faults.left()) == 0 })
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := await(t, hung); err == nil {
		t.Error("it was answered")
	}
}

func TestBlocksThatAreRefused(t *testing.T) {
	r := startRig(t)
	k := r.begin("d1", "a")
	r.wantStatus(201, "PUT", blockPath(k, "b1"), "x")
	for _, id := range []string{"longer", "", strings.Repeat("x", 65)} {
		r.wantStatus(400, "PUT", blockPath(k, id), "x")
	}
	r.wantStatus(400, "PUT", k.path("&comp=block&blockid=%%"), "x")
	r.wantStatus(400, "PUT", k.path("&comp=blocklist"), "<BlockList><Latest>!</Latest></BlockList>")
	r.wantStatus(405, "PUT", k.path("&comp=tags"), "x")
	r.wantStatus(405, "DELETE", k.path(""), "")
	if entries, err := os.ReadDir(r.blobs.dir); err != nil || slices.ContainsFunc(entries, func(e os.DirEntry) bool { return strings.HasPrefix(e.Name(), ".incoming") }) {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func FuzzBlockList(f *testing.F) {
	f.Add(blockList("a", "b"))
	f.Add("<BlockList><Committed>YQ==</Committed><Uncommitted> YQ== </Uncommitted></BlockList>")
	f.Add("<BlockList><Latest><Latest>a</Latest></Latest></BlockList>")
	f.Add("<!DOCTYPE x><BlockList/>")
	f.Fuzz(func(t *testing.T, text string) {
		refs, err := parseBlockList(strings.NewReader(text))
		if err != nil && refs != nil {
			t.Errorf("blocks beside %v", err)
		}
	})
}
