package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"
)

const accounts = `user admin a
allow admin write *
user scheduler s
allow scheduler write iot.scheduler_*
allow scheduler read iot.history
`

// as signs in; an empty name does not.
func as(t *testing.T, address, name, password string) *mongo.Database {
	t.Helper()
	settings := options.Client().ApplyURI("mongodb://" + address).SetServerSelectionTimeout(5 * time.Second)
	if name != "" {
		settings.SetAuth(options.Credential{AuthMechanism: "SCRAM-SHA-256", Username: name, Password: password})
	}
	client, err := mongo.Connect(context.Background(), settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Disconnect(context.Background()) })
	return client.Database("iot")
}

func refused(err error) bool {
	var command mongo.CommandError
	return errors.As(err, &command) && (command.Code == unauthorized || command.Code == failedToParse)
}

func TestOnlyAccountsMayAndOnlyWhatTheyMay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts")
	if err := os.WriteFile(path, []byte(accounts), 0o600); err != nil {
		t.Fatal(err)
	}
	address, ctx := serveHere(t, path), context.Background()
	insert := func(database *mongo.Database, collection string) error {
		_, err := database.Collection(collection).InsertOne(ctx, bson.M{"_id": time.Now().String()})
		return err
	}
	find := func(database *mongo.Database, collection string) error {
		cursor, err := database.Collection(collection).Find(ctx, bson.M{}, options.Find().SetBatchSize(1))
		if err == nil {
			err = cursor.All(ctx, &[]bson.M{})
		}
		return err
	}
	admin, scheduler := as(t, address, "admin", "a"), as(t, address, "scheduler", "s")
	for _, database := range []*mongo.Database{admin, scheduler} {
		for range 3 {
			if err := insert(database, "scheduler_schedules"); err != nil {
				t.Fatal(err)
			}
		}
		if err := find(database, "scheduler_schedules"); err != nil {
			t.Fatal("read in batches: ", err)
		}
	}
	if err := insert(admin, "history"); err != nil {
		t.Fatal(err)
	}
	if err := find(scheduler, "history"); err != nil {
		t.Fatal(err)
	}
	nobody := as(t, address, "", "")
	for what, err := range map[string]error{
		"write what may be read":             insert(scheduler, "history"),
		"write another's":                    insert(scheduler, "deployer_versions"),
		"read another's":                     find(scheduler, "deployer_versions"),
		"another database":                   insert(scheduler.Client().Database("other"), "scheduler_schedules"),
		"drop everything":                    scheduler.Drop(ctx),
		"read another's by a second key":     scheduler.RunCommand(ctx, bson.D{{Key: "find", Value: "scheduler_schedules"}, {Key: "FIND", Value: "deployer_versions"}}).Err(),
		"drop everything under another name": scheduler.RunCommand(ctx, bson.D{{Key: "dropDatabase", Value: "scheduler_schedules"}}).Err(),
		"list under another name":            scheduler.RunCommand(ctx, bson.D{{Key: "listCollections", Value: "scheduler_schedules"}}).Err(),
		"cursors of another":                 scheduler.RunCommand(ctx, bson.D{{Key: "killCursors", Value: "deployer_versions"}, {Key: "cursors", Value: bson.A{int64(1)}}}).Err(),
		"list":                               scheduler.RunCommand(ctx, bson.D{{Key: "listCollections", Value: 1}}).Err(),
		"write without an account":           insert(nobody, "scheduler_schedules"),
		"read without an account":            find(nobody, "history"),
		"make a user of the server":          scheduler.RunCommand(ctx, bson.D{{Key: "createUser", Value: "x"}, {Key: "pwd", Value: "x"}, {Key: "roles", Value: bson.A{}}}).Err(),
	} {
		if !refused(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := nobody.RunCommand(ctx, bson.D{{Key: "ping", Value: 1}}).Err(); err != nil {
		t.Error("whether it answers may be asked by anybody: ", err)
	}
}

func TestWrongPasswordsAreRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts")
	if err := os.WriteFile(path, []byte(accounts), 0o600); err != nil {
		t.Fatal(err)
	}
	address := serveHere(t, path)
	for _, with := range [][2]string{{"scheduler", "wrong"}, {"stranger", "s"}, {"admin", ""}} {
		database := as(t, address, with[0], with[1]+" ")
		err := database.RunCommand(context.Background(), bson.D{{Key: "count", Value: "history"}}).Err()
		if err == nil {
			t.Errorf("%v was let in", with)
		}
	}
}

func TestAccountsThatMakeNoSense(t *testing.T) {
	for _, text := range []string{"user a\n", "allow a read *\n", "user a b\nallow a own *\n", "\n"} {
		path := filepath.Join(t.TempDir(), "accounts")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadUsers(path); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}
