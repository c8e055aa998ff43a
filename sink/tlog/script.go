package tlog

import _ "embed" // the script

// Script is verify.py: a verifier of archives and bundles that needs Python and
// openssl, and nothing of ours. It ships with each archive and each proof.
//
//go:embed verify.py
var Script []byte
