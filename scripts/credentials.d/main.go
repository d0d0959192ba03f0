// Makes the credentials of tests/identities/official with the official libraries: an operator, accounts, users with
// tokens and with keys, and the configurations that know them. Started by scripts/credentials.
//
// usage: go run . FOLDER
//
// The keys are made anew each time; they are worth nothing, and stand in the tree so that tests need no Go.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func public(key nkeys.KeyPair) string {
	return must(key.PublicKey())
}

// row says what becomes of somebody who presents a file of credentials, or the seed of a key.
type row struct {
	File    string `json:"file"`
	Enters  string `json:"enters"` // the account; empty: refused
	Publish string `json:"publish,omitempty"`
	Denied  string `json:"denied,omitempty"`
}

func main() {
	folder := os.Args[1]
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
			panic(err)
		}
	}
	operator, operatorSigner := must(nkeys.CreateOperator()), must(nkeys.CreateOperator())
	account, system, other := must(nkeys.CreateAccount()), must(nkeys.CreateAccount()), must(nkeys.CreateAccount())
	signer, scoped := must(nkeys.CreateAccount()), must(nkeys.CreateAccount())

	oc := jwt.NewOperatorClaims(public(operator))
	oc.Name = "official"
	oc.SigningKeys.Add(public(operatorSigner))
	oc.SystemAccount = public(system)
	operatorJWT := must(oc.Encode(operator))
	decorated := must(jwt.DecorateJWT(operatorJWT))
	write("operator.jwt", string(decorated))

	sc := jwt.NewAccountClaims(public(system))
	sc.Name = "SYS"
	ac := jwt.NewAccountClaims(public(account))
	ac.Name = "shop"
	ac.SigningKeys.Add(public(signer))
	scope := jwt.NewUserScope()
	scope.Key = public(scoped)
	scope.Role = "desk"
	scope.Template.Pub.Allow.Add("desk.{{name()}}.>", "_INBOX.>")
	scope.Template.Sub.Allow.Add("desk.>", "_INBOX.>")
	ac.SigningKeys.AddScopedSigner(scope)
	revoked := must(nkeys.CreateUser())
	ac.Revoke(public(revoked))
	notOurs := jwt.NewAccountClaims(public(other))
	notOurs.Name = "other"

	var rows []row
	user := func(name string, key nkeys.KeyPair, signedBy nkeys.KeyPair, enters string, change func(*jwt.UserClaims)) *row {
		uc := jwt.NewUserClaims(public(key))
		uc.Name = name
		if signedBy != account && signedBy != system && signedBy != other {
			uc.IssuerAccount = public(account)
		}
		if change != nil {
			change(uc)
		}
		token := must(uc.Encode(signedBy))
		write(name+".creds", string(must(jwt.FormatUserConfig(token, must(key.Seed())))))
		rows = append(rows, row{File: name + ".creds", Enters: enters})
		return &rows[len(rows)-1]
	}
	fresh := func() nkeys.KeyPair { return must(nkeys.CreateUser()) }
	user("plain", fresh(), account, public(account), nil)
	user("signed", fresh(), signer, public(account), nil)
	user("system", fresh(), system, public(system), nil)
	desk := user("desk", fresh(), scoped, public(account), func(uc *jwt.UserClaims) { uc.SetScoped(true) })
	desk.Publish, desk.Denied = "desk.desk.a", "desk.other.a"
	limited := user("limited", fresh(), account, public(account), func(uc *jwt.UserClaims) {
		uc.Permissions.Pub.Allow.Add("orders.>")
		uc.Permissions.Pub.Deny.Add("orders.secret")
	})
	limited.Publish, limited.Denied = "orders.1", "orders.secret"
	user("greedy", fresh(), scoped, "", func(uc *jwt.UserClaims) { uc.Permissions.Pub.Allow.Add(">") })
	user("revoked", revoked, account, "", nil)
	user("expired", fresh(), account, "", func(uc *jwt.UserClaims) { uc.Expires = 1_000_000_000 })
	user("foreign", fresh(), other, "", nil)
	user("websocket", fresh(), account, "", func(uc *jwt.UserClaims) { uc.AllowedConnectionTypes.Add(jwt.ConnectionTypeWebsocket) })

	preload := []string{
		fmt.Sprintf("  %s: %s", public(system), must(sc.Encode(operator))),
		fmt.Sprintf("  %s: %s", public(account), must(ac.Encode(operatorSigner))),
	}
	write("operator.conf", fmt.Sprintf("# Made by scripts/credentials.\noperator: %s\nresolver: MEMORY\nresolver_preload: {\n%s\n}\n",
		operatorJWT, strings.Join(preload, "\n")))

	key, stranger := fresh(), fresh()
	write("key.seed", string(must(key.Seed()))+"\n")
	write("stranger.seed", string(must(stranger.Seed()))+"\n")
	write("keys.conf", fmt.Sprintf("# Made by scripts/credentials.\naccounts { SHOP { users: [ { nkey: %s } ] } }\n", public(key)))

	write("expected.json", string(must(json.MarshalIndent(rows, "", " ")))+"\n")
}
