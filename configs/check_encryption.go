package configs

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// vaultName is what Vault takes as the name of a key and as part of a path.
var vaultName = regexp.MustCompile(`^\w(([\w.-]+)?\w)?$`)

// encryption checks the key source, of which there may be one, and the escrow.
func (k *checking) encryption() {
	e := k.config.Encryption
	set := 0
	for _, source := range []struct{ key, value string }{
		{"encryption.key_file", e.KeyFile}, {"encryption.key_env", e.KeyEnv}, {"encryption.vault.address", e.Vault.Address},
	} {
		if source.value == "" {
			continue
		}
		if set++; set > 1 {
			k.fault(source.key, "there is another key source", "an archive has one: leave key_file, key_env or vault.address")
		}
	}
	k.keyFile(e.KeyFile)
	k.masterKey(e.KeyEnv)
	k.vault(e.Vault)
	k.escrow(e.EscrowRecipients, set > 0)
}

// keyFile checks what can be seen without reading keys.
func (k *checking) keyFile(file string) {
	const key = "encryption.key_file"
	if file == "" || k.sources.SkipSecrets {
		return
	}
	fi, err := os.Stat(file)
	switch {
	case os.IsNotExist(err):
		k.fault(key, quote(file)+" does not exist", "make it with mailkeep keys generate; for an archive that is there, restore it from a copy")
	case err != nil:
		k.fault(key, quote(file)+" cannot be read: "+cause(err), "check the name and the permissions")
	case !fi.Mode().IsRegular():
		k.fault(key, quote(file)+" is not a file", "name the file that mailkeep keys generate has made")
	case fi.Mode().Perm()&0o077 != 0:
		k.fault(key, fmt.Sprintf("%s can be read or written by others (mode %04o)", quote(file), fi.Mode().Perm()), "chmod 600 it")
	}
	inside, err := filepath.Rel(k.config.Archive.Dir, file)
	if err == nil && filepath.IsLocal(inside) {
		k.warn(key, "the keys lie in the archive's directory: who copies it has both", "keep the file elsewhere")
	}
}

func (k *checking) masterKey(env string) {
	const key = "encryption.key_env"
	if env == "" || k.sources.SkipSecrets {
		return
	}
	text, err := k.config.secretIn("", env).Reveal()
	if err != nil {
		k.fault(key, secretProblem(k.config.secretIn("", env), err), "set it in the environment of mailkeep")
		return
	}
	if b, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSpace(text)); err != nil || len(b) != 32 {
		k.fault(key, "environment variable "+env+" does not hold the base64 of 32 octets", "make a key with openssl rand -base64 32, and keep a copy")
	}
}

func (k *checking) vault(v Vault) {
	const section = "encryption.vault"
	if v.Address == "" {
		for key, value := range map[string]string{"token_file": v.TokenFile, "token_env": v.TokenEnv, "ca_file": v.CAFile} {
			if value != "" {
				k.fault(join(section, key), "has no meaning without an address", "set encryption.vault.address or remove it")
			}
		}
		return
	}
	k.vaultAddress(join(section, "address"), v.Address)
	for part := range strings.SplitSeq(strings.Trim(v.Mount, "/"), "/") {
		if !vaultName.MatchString(part) {
			k.fault(join(section, "mount"), quote(v.Mount)+" is not the path of an engine", "write it as in vault secrets list, such as transit")
		}
	}
	if !vaultName.MatchString(v.Key) {
		k.fault(join(section, "key"), quote(v.Key)+" is not the name of a key", "write letters, digits, and - or . between them")
	}
	if k.secret(section, "token", v.TokenFile, v.TokenEnv).IsZero() && !k.broken[join(section, "token_file")] {
		k.fault(join(section, "token_file"), "there is no token for Vault", "set token_file or token_env")
	}
	k.authorities(join(section, "ca_file"), v.CAFile)
}

func (k *checking) vaultAddress(key, address string) {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		k.fault(key, "is not of the form https://host:port", "write it as in VAULT_ADDR")
	case u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())):
		k.fault(key, "would send the keys of the archive in the clear", "write https://")
	}
}

// escrow checks the form of the recipients; their keys are read when they are
// used.
func (k *checking) escrow(list string, encrypted bool) {
	const key = "encryption.escrow_recipients"
	all := recipients(list)
	if len(all) > 0 && !encrypted {
		k.fault(key, "there are no keys to give away: the archive is not encrypted", "set a key source, or remove it")
	}
	for i, r := range all {
		switch {
		case strings.HasPrefix(strings.ToUpper(r), "AGE-SECRET-KEY-"):
			k.fault(key, "a secret key must not stand in the configuration", "write the public key, age1..., and take the secret one as known to others")
		case !strings.HasPrefix(r, "age1") && !strings.HasPrefix(r, "ssh-ed25519 ") && !strings.HasPrefix(r, "ssh-rsa "):
			k.fault(key, fmt.Sprintf("entry %d is not a public key of age or SSH", i+1), "write age1..., ssh-ed25519 ... or ssh-rsa ...")
		}
	}
}
