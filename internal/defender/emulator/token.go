package emulator

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// claims are those of an application token (samples/token-claims.json).
type claims struct {
	Audience         string   `json:"aud"`
	Issuer           string   `json:"iss"`
	IssuedAt         int64    `json:"iat"`
	NotBefore        int64    `json:"nbf"`
	Expires          int64    `json:"exp"`
	AIO              string   `json:"aio"`
	AppDisplayName   string   `json:"app_displayname"`
	AppID            string   `json:"appid"`
	AppIDACR         string   `json:"appidacr"` // "1" a secret, "2" a certificate
	IdentityProvider string   `json:"idp"`
	ObjectID         string   `json:"oid"`
	RH               string   `json:"rh"`
	Roles            []string `json:"roles,omitempty"` // an app without consent still gets a token, without roles
	Subject          string   `json:"sub"`
	RegionScope      string   `json:"tenant_region_scope"`
	TenantID         string   `json:"tid"`
	UTI              string   `json:"uti"`
	Version          string   `json:"ver"`
}

// tokenSigner signs access tokens and checks its own.
type tokenSigner struct {
	key *rsa.PrivateKey
	kid string
}

func newTokenSigner() (*tokenSigner, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("make the token key: %w", err)
	}
	sum := sha256.Sum256(key.N.Bytes())
	return &tokenSigner{key: key, kid: base64.RawURLEncoding.EncodeToString(sum[:20])}, nil
}

func (s *tokenSigner) sign(c claims) (string, error) {
	header, err := json.Marshal(map[string]string{"typ": "JWT", "alg": "RS256", "x5t": s.kid, "kid": s.kid})
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	signed := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(body)
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, s.key, crypto.SHA256, sum[:])
	if err != nil {
		return "", fmt.Errorf("sign the token: %w", err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// check returns the claims of a token that this signer made and that is valid at now.
func (s *tokenSigner) check(token string, now time.Time) (claims, error) {
	var c claims
	j, err := parseJWT(token)
	if err != nil {
		return c, err
	}
	if err := j.verify(&s.key.PublicKey); err != nil {
		return c, err
	}
	if err := json.Unmarshal(j.body, &c); err != nil {
		return c, fmt.Errorf("token claims: %w", err)
	}
	if at := now.Unix(); at < c.NotBefore || at >= c.Expires {
		return c, errors.New("token is expired or not yet valid")
	}
	return c, nil
}

// assertion is what MSAL signs with an app's certificate instead of sending a secret
// (RFC 7523). Its times are left unchecked: they come from the caller's wall clock,
// which need not be the world's.
type assertion struct {
	Audience string `json:"aud"`
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
}

// checkAssertion accepts an assertion signed with the key of one of the certificates.
func checkAssertion(token string, certificates []*x509.Certificate) (assertion, error) {
	var a assertion
	j, err := parseJWT(token)
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal(j.body, &a); err != nil {
		return a, fmt.Errorf("assertion claims: %w", err)
	}
	err = errors.New("the app has no certificate")
	for _, certificate := range certificates {
		key, ok := certificate.PublicKey.(*rsa.PublicKey)
		if !ok {
			err = errors.New("the app's certificate holds no RSA key")
			continue
		}
		if err = j.verify(key); err == nil {
			return a, nil
		}
	}
	return a, err
}

// jwt is a compact JWS (RFC 7515) taken apart.
type jwt struct {
	algorithm       string
	signed          string
	body, signature []byte
}

func parseJWT(token string) (jwt, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return jwt{}, errors.New("token does not have three parts")
	}
	var raw [3][]byte
	for i, part := range parts {
		var err error
		if raw[i], err = base64.RawURLEncoding.DecodeString(part); err != nil {
			return jwt{}, errors.New("token is not base64url")
		}
	}
	var header struct {
		Algorithm string `json:"alg"`
	}
	if err := json.Unmarshal(raw[0], &header); err != nil {
		return jwt{}, fmt.Errorf("token header: %w", err)
	}
	return jwt{algorithm: header.Algorithm, signed: parts[0] + "." + parts[1], body: raw[1], signature: raw[2]}, nil
}

func (j jwt) verify(key *rsa.PublicKey) error {
	sum := sha256.Sum256([]byte(j.signed))
	switch j.algorithm {
	case "RS256":
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], j.signature)
	case "PS256":
		return rsa.VerifyPSS(key, crypto.SHA256, sum[:], j.signature, nil)
	}
	return fmt.Errorf("algorithm %q is not RS256 or PS256", j.algorithm)
}
