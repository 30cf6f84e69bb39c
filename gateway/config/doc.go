// Package config reads the config file: YAML in, checked structs out.
//
//	file ─ Load → Section ─ Decode → structs with tags ─ Validate → Errors
//
// It knows no key. The structs say with tags which keys there are and what may
// stand behind them; Schema tells editors the same.
//
// # What the author of a file can rely on
//
// Every fault is reported, not only the first, as
//
//	fieldpost.yaml:9:14: queue.max_bytes: what is wrong; what is wanted
//
// Lines and columns count from 1, columns in characters. An item of a list
// goes by its id if it has one that no other item has, as in
// devices[air].every, and by its number from 0 otherwise, as in
// upstreams[0].type. Nothing is guessed: an unknown key, a key that stands
// there twice, a key with nothing behind it and a missing unit are faults. A
// section with nothing behind it is all defaults.
//
// The file is one YAML document of at most 1 MiB in UTF-8, 32 levels deep at
// most. YAML's anchors, aliases, merge keys, tags, directives and ? keys are
// refused.
//
// What a value is depends on its key, never on its looks:
//
//	text       as it stands: off, no, 0x76 and 0660 need no quotes; null and ~
//	           are nothing, in quotes they are text
//	switches   true or false
//	numbers    12, -3, 0x76, 0o660; for fractions 0.5, 1e-3
//	durations  with units: 500ms, 30s, 5m, 1h30m, 7d
//	sizes      64kB, 512MB (powers of 1000), 32MiB (powers of 1024); a number
//	           alone counts bytes
//	rates      64kB or 64kB/s, bytes per second
//	clocks     50Hz, 400kHz, 1.5MHz
//	shares     80%
//	arguments  of actions: true, false, a number, or text, in quotes if it looks
//	           like one of these
//
// # Values from elsewhere
//
// Any single value, in quotes or not, can hold
//
//	${env:NAME}         an environment variable
//	${file:/path}       a file's content without the newline at its end; at most
//	                    64 KiB; a relative path starts at the config file's folder
//	${credential:name}  a file in $CREDENTIALS_DIRECTORY (systemd's LoadCredential=)
//	$$                  a dollar sign
//
// A dollar sign before anything else stands for itself. What is put in is
// text: it is neither YAML nor looked through for further ${…}, and then it is
// read as its key demands. No error shows it. Keys are not looked through.
//
// # What the author of a struct can rely on
//
// Each exported field has a tag yaml with the key, or "-". Further tags:
//
//	doc       one sentence for editors and the reference
//	default   what an absent key means, also if its whole section is absent
//	required  "true": the key must be there, and text must not be empty
//	min, max  bounds, written as values are
//	oneof     the allowed texts, a|b|c
//	pattern   a regular expression that text must match, with want in words
//	example   a value for editors
//	lone      "true", for lists of single values: one may stand without brackets
//	variants  for []Section and map[string]Section: the name under which
//	          Schema gets its cases
//
// A field without default keeps what it has if its key is absent. Bounds, oneof
// and pattern are for single values; in lists and tables they hold for each.
// Fields can be bool, text, numbers, time.Duration, Bytes, Rate, Frequency, Percent, Secret, gateway.Value, lists,
// map[string]T, structs, pointers (nil if the key is absent), Section,
// []Section and map[string]Section; what is decoded into a Section is left to another Decode. An
// embedded struct shares its keys with the struct around it.
//
// If nothing is wrong with a struct's keys, its Validate is called, if it has
// one. Each gateway.FieldError that it returns is placed at its field.
package config
