package cli

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"muster/internal/defender/emulator"
)

// appCertificate is a self-signed certificate with its key, as an app may have it.
func appCertificate(t *testing.T) (file []byte, certificate *x509.Certificate) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Muster test app"},
		NotBefore: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	file = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return append(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...), certificate
}

// TestCertificateSignIn: a certificate does instead of a secret, as PEM and as PFX.
func TestCertificateSignIn(t *testing.T) {
	file, certificate := appCertificate(t)
	dir := t.TempDir()
	path, password := filepath.Join(dir, "app.pem"), filepath.Join(dir, "password")
	if err := errors.Join(os.WriteFile(path, file, 0o600), os.WriteFile(password, []byte("p€ss & word\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	// Made by openssl pkcs12 -export -legacy, the only form that azidentity reads.
	text, err := os.ReadFile("testdata/app.crt")
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	ofPFX, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	f := newFarSide(t, emulator.Options{Devices: 10, Seed: 23}, func(o *emulator.ServerOptions) { o.Certificates = []*x509.Certificate{certificate, ofPFX} })
	for _, c := range []struct {
		name  string
		flags []string
		env   string
	}{
		{name: "PEM", flags: []string{"--certificate-file", path}},
		{name: "PFX, password in a file", flags: []string{"--certificate-file", "testdata/app.pfx", "--certificate-password-file", password}},
		{name: "PFX, password in the environment", flags: []string{"--certificate-file", "testdata/app.pfx"}, env: "p€ss & word"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := f.on(t)
			g.env["MUSTER_CERTIFICATE_PASSWORD"] = c.env
			db := tempDatabase(t)
			args := replaced(append([]string{"sync", "--db", "sqlite:" + db, "--json"}, g.flags()...), append(c.flags, "--client-secret-file", "")...)
			code, out, errs := g.muster(args...)
			if code != exitDone {
				t.Fatalf("exit code %d: %s%s", code, out, errs)
			}
			if n := len(g.export(db, "machines", "--scope", "all")); n != 10 {
				t.Errorf("%d machines, want 10", n)
			}
		})
	}
}

// TestSecretFromEnvironment: the file wins over MUSTER_CLIENT_SECRET, either alone will do.
// The mark that Windows editors put before a text is not part of a secret.
func TestSecretFromEnvironment(t *testing.T) {
	f := newFarSide(t, emulator.Options{Devices: 3, Seed: 24}, func(o *emulator.ServerOptions) { o.Secret = plantedSecret })
	marked := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(marked, []byte("\ufeff"+plantedSecret+"\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, file, env string }{
		{"file", marked, ""}, {"environment", "", plantedSecret}, {"file beside another in the environment", f.files.secret, wrongSecret},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := f.on(t)
			g.env["MUSTER_CLIENT_SECRET"] = c.env
			args := append([]string{"sync", "--db", "sqlite:" + tempDatabase(t), "--datasets", "machines"}, g.flags()...)
			if code, out, errs := g.muster(replaced(args, "--client-secret-file", c.file)...); code != exitDone {
				t.Errorf("exit code %d: %s%s", code, out, errs)
			}
		})
	}
}

// TestTenantByDomain: a verified domain names the tenant; what is stored is its GUID, so
// that both names go on with the same data.
func TestTenantByDomain(t *testing.T) {
	f := newFarSide(t, emulator.Options{Devices: 20, Seed: 25})
	byGUID, byDomain := tempDatabase(t), tempDatabase(t)
	f.sync(byGUID)
	run := f.sync(byDomain, "--tenant-id", "contoso.onmicrosoft.com")
	if run.TenantID == nil || *run.TenantID != f.server.TenantID() {
		t.Errorf("the run is of tenant %v, want %s", run.TenantID, f.server.TenantID())
	}
	if f.exports(byDomain) != f.exports(byGUID) {
		t.Error("the data differ between the tenant's names")
	}
	if again := f.sync(byDomain); again.Datasets["machines"].New != 0 {
		t.Errorf("by its GUID the tenant has %d new machines", again.Datasets["machines"].New)
	}
}
