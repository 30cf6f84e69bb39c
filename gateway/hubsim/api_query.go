package hubsim

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
)

// queryPage is how many twins a page of a query holds, unless asked for fewer.
const queryPage = 100

// postQuery answers a query of twins, page by page in the order of ids. The
// continuation of a page names its last device.
func (h *Hub) postQuery(w http.ResponseWriter, r *http.Request) error {
	q, err := readQuery(w, r)
	if err != nil {
		return err
	}
	size, err := readNumber(r.Header.Get("x-ms-max-item-count"), queryPage)
	if err != nil || size < 1 {
		return invalid("x-ms-max-item-count %.20q is not allowed, want a whole number from 1 on", r.Header.Get("x-ms-max-item-count"))
	}
	size = min(size, queryPage)
	after, err := base64.RawURLEncoding.DecodeString(r.Header.Get("x-ms-continuation"))
	if err != nil {
		return invalid("x-ms-continuation is not one that this hub has given")
	}
	page := []map[string]any{}
	last := ""
	for _, v := range h.state.viewsOf(func(id string) bool { return isModule(id) == q.modules }) {
		if v.ID <= string(after) {
			continue
		}
		twin, err := asQueried(v)
		if err != nil {
			return err
		}
		if !q.matches(twin) {
			continue
		}
		if int64(len(page)) == size { // there is more
			w.Header().Set("x-ms-continuation", base64.RawURLEncoding.EncodeToString([]byte(last)))
			break
		}
		page, last = append(page, twin), v.ID
	}
	w.Header().Set("x-ms-item-type", "Twin")
	w.Header().Set("x-ms-item-count", strconv.Itoa(len(page)))
	return answer(w, page)
}

func readQuery(w http.ResponseWriter, r *http.Request) (query, error) {
	body, err := readBody(w, r, 64<<10)
	if err != nil {
		return query{}, err
	}
	var request struct {
		Query string `json:"query"`
	}
	if err := json.Unmarshal(body, &request); err != nil {
		return query{}, invalid(`the body is no query: %v; want {"query":"SELECT * FROM devices"}`, err)
	}
	q, err := parseQuery(request.Query)
	if err != nil {
		return query{}, invalid("%v", err)
	}
	return q, nil
}

// asQueried is a twin in plain JSON values.
func asQueried(v view) (twin map[string]any, err error) {
	data, err := json.Marshal(v.twinJSON())
	if err != nil {
		return nil, err
	}
	in := json.NewDecoder(bytes.NewReader(data))
	in.UseNumber()
	err = in.Decode(&twin)
	return twin, err
}
