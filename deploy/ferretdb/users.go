package main

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/xdg-go/scram"
)

// Users are the accounts that may sign in, each with what it may do. FerretDB itself knows no accounts that it could refuse.
type Users struct {
	accounts map[string]account
	server   *scram.Server
}

type account struct {
	credentials scram.StoredCredentials
	rights      []right
}

// right is what may be done with collections: one, or all whose name begins so.
type right struct {
	write   bool
	pattern string
	prefix  bool
}

// iterations is the least that drivers accept. Passwords are 256 random bits: nothing is gained by making guesses slow.
const iterations = 4096

// ReadUsers reads accounts from a file. A line of it is one of
//
//	user NAME PASSWORD
//	allow NAME read|write DATABASE.COLLECTION
//
// where a last character * stands for the rest of a name.
func ReadUsers(path string) (*Users, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	users := &Users{accounts: map[string]account{}}
	lines := bufio.NewScanner(file)
	for number := 1; lines.Scan(); number++ {
		if err := users.take(strings.Fields(lines.Text())); err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", path, number, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	users.server, err = scram.SHA256.NewServer(users.credentials)
	return users, err
}

func (u *Users) take(words []string) error {
	switch {
	case len(words) == 3 && words[0] == "user":
		credentials, err := stored(words[1], words[2])
		u.accounts[words[1]] = account{credentials: credentials}
		return err
	case len(words) == 4 && words[0] == "allow" && (words[2] == "read" || words[2] == "write"):
		found, known := u.accounts[words[1]]
		if !known {
			return errors.New("a right comes before its account")
		}
		pattern, prefix := strings.CutSuffix(words[3], "*")
		found.rights = append(found.rights, right{words[2] == "write", pattern, prefix})
		u.accounts[words[1]] = found
		return nil
	}
	return errors.New("neither an account nor a right")
}

func stored(name, password string) (scram.StoredCredentials, error) {
	client, err := scram.SHA256.NewClient(name, password, "")
	if err != nil {
		return scram.StoredCredentials{}, err
	}
	salt := make([]byte, 16)
	if _, err := rand.Read(salt); err != nil {
		return scram.StoredCredentials{}, err
	}
	return client.GetStoredCredentials(scram.KeyFactors{Salt: string(salt), Iters: iterations}), nil
}

func (u *Users) credentials(name string) (scram.StoredCredentials, error) {
	if found, known := u.accounts[name]; known {
		return found.credentials, nil
	}
	return scram.StoredCredentials{}, errors.New("no such account")
}

// mayAll tells whether an account may do everything.
func (u *Users) mayAll(name string) bool {
	for _, right := range u.accounts[name].rights {
		if right.write && right.prefix && right.pattern == "" {
			return true
		}
	}
	return false
}

// may tells whether an account may do something with a collection, given as database.collection.
func (u *Users) may(name string, what kind, namespace string) bool {
	for _, right := range u.accounts[name].rights {
		fits := namespace == right.pattern || right.prefix && strings.HasPrefix(namespace, right.pattern)
		if fits && (right.write || what == read) {
			return true
		}
	}
	return false
}
