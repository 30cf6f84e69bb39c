package probe

// Classify is for the fuzz test.
var Classify = classify
