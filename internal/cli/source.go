package cli

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"muster"
	"muster/internal/defender"
	"muster/internal/wire"
)

// sourceFlags say which tenant is read, and as whom.
type sourceFlags struct {
	TenantID            string   `name:"tenant-id" required:"" placeholder:"T" help:"Directory (tenant) ID: a GUID or a verified domain."`
	ClientID            string   `name:"client-id" required:"" placeholder:"C" help:"Application (client) ID: a GUID."`
	ClientSecretFile    string   `placeholder:"F" help:"File that holds the client secret. Or set MUSTER_CLIENT_SECRET."`
	CertificateFile     string   `placeholder:"F" help:"Certificate with private key, PEM or PFX, instead of a secret."`
	CertificatePassword string   `name:"certificate-password-file" placeholder:"F" help:"File that holds the PFX's password. Or set MUSTER_CERTIFICATE_PASSWORD."`
	Cloud               string   `default:"commercial" help:"Microsoft's cloud or region: commercial, us, eu, uk, au, gcc, gcc-high or dod."`
	LoginURL            string   `placeholder:"U" help:"Another sign-in address (https), with --api-url."`
	APIURL              string   `name:"api-url" placeholder:"U" help:"Another API address (https), with --login-url."`
	Scope               string   `placeholder:"S" help:"Another OAuth scope."`
	CAFile              string   `name:"ca-file" placeholder:"F" help:"CA certificates (PEM) to trust besides the system's."`
	StaleDays           *int     `placeholder:"N" help:"Only machines seen within the last N days, 1 to 3650."`
	Tag                 []string `sep:"none" placeholder:"T" help:"Only machines with this device tag. May be repeated."`
	TagsMatch           string   `enum:"any,all" default:"any" help:"Whether one tag is enough (any) or all are needed (all)."`
	OnboardedOnly       bool     `help:"Only onboarded machines."`
	Datasets            []string `placeholder:"D,…" help:"Some of machines, antivirus, software, vulnerabilities, configuration, catalogue, information."`
}

// settings checks the flags and turns them into a connector's settings.
func (f *sourceFlags) settings() (muster.Settings, error) {
	s := muster.Settings{
		TenantID: f.TenantID, ClientID: f.ClientID, Cloud: f.Cloud, LoginURL: f.LoginURL, APIURL: f.APIURL, Scope: f.Scope,
		Filter: muster.Filter{Tags: f.Tag, AllTags: f.TagsMatch == "all", OnboardedOnly: f.OnboardedOnly},
	}
	if f.StaleDays != nil {
		s.Filter.StaleDays = *f.StaleDays
		if *f.StaleDays == 0 {
			return s, muster.Invalid("stale_days", "the stale threshold 0 is outside 1 to 3650 days", "Give a number of days, or leave it out for no limit.")
		}
	}
	var err error
	if s.Datasets, err = muster.ParseDatasets(f.Datasets); err != nil {
		return s, err
	}
	return s, s.Validate()
}

// credential is what the app proves itself with.
type credential struct {
	secret      defender.Secret
	certificate []byte
	password    defender.Secret
	cas         []byte
}

func (f *sourceFlags) credential(getenv func(string) string) (c credential, err error) {
	c.secret = defender.Secret(getenv("MUSTER_CLIENT_SECRET"))
	if f.ClientSecretFile != "" {
		if c.secret, err = secretFile("client_secret_file", f.ClientSecretFile); err != nil {
			return c, err
		}
	}
	switch {
	case f.CertificateFile != "" && c.secret != "":
		return c, muster.Invalid("certificate_file", "a client secret and a certificate were both given", "Give one of them; unset MUSTER_CLIENT_SECRET if it is the certificate.")
	case f.CertificateFile == "" && c.secret == "":
		return c, muster.Invalid("client_secret", "no client secret was given", "Use --client-secret-file, set MUSTER_CLIENT_SECRET, or give --certificate-file.")
	case f.CertificateFile != "":
		if c.certificate, err = readFile("certificate_file", f.CertificateFile); err != nil {
			return c, err
		}
		c.password = defender.Secret(getenv("MUSTER_CERTIFICATE_PASSWORD"))
		if f.CertificatePassword != "" {
			if c.password, err = secretFile("certificate_password_file", f.CertificatePassword); err != nil {
				return c, err
			}
		}
	}
	if f.CAFile != "" {
		if c.cas, err = readFile("ca_file", f.CAFile); err == nil && !x509.NewCertPool().AppendCertsFromPEM(c.cas) {
			err = muster.Invalid("ca_file", fmt.Sprintf("the file %s holds no certificate in PEM form", f.CAFile), "Give the CA's certificate as PEM: it begins with -----BEGIN CERTIFICATE-----.")
		}
	}
	return c, err
}

func readFile(option, path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		if cause, ok := errors.AsType[*os.PathError](err); ok {
			err = cause.Err
		}
		return nil, muster.Invalid(option, fmt.Sprintf("the file %s cannot be read: %v", path, err), "Check the path and its permissions.")
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, muster.Invalid(option, fmt.Sprintf("the file %s is empty", path), "Check the path, or write the file again.")
	}
	return data, nil
}

// secretFile reads a secret; the mark and the line's end that editors add are not part of it.
func secretFile(option, path string) (defender.Secret, error) {
	data, err := readFile(option, path)
	return defender.Secret(strings.TrimRight(strings.TrimPrefix(string(data), "\ufeff"), "\r\n")), err
}

// client opens the source that settings name.
func (a *App) client(s muster.Settings, c credential, reserve reserveFunc) (*defender.Client, error) {
	client, err := defender.New(defender.Config{
		TenantID: s.TenantID, ClientID: s.ClientID, Secret: c.secret, Certificate: c.certificate, CertificatePassword: c.password,
		Cloud: s.Cloud, LoginURL: s.LoginURL, APIURL: s.APIURL, Scope: s.Scope, CAs: c.cas, UserAgent: "MdatpPartner-Muster-Muster/" + Version, Now: a.Now, Reserve: reserve, Log: a.log,
	})
	var e *defender.Error
	if err != nil && !errors.As(err, &e) {
		err = muster.Invalid("certificate_file", err.Error(), "Check the file and, for a PFX, its password.")
	}
	return client, err
}

// source gives the worker its client.
func (a *App) source(c credential) func(wire.Job, reserveFunc) (*defender.Client, error) {
	return func(job wire.Job, reserve reserveFunc) (*defender.Client, error) {
		return a.client(job.Connector.Settings, c, reserve)
	}
}
