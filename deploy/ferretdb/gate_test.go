package main

import (
	"context"
	"encoding/binary"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"
	"go.mongodb.org/mongo-driver/mongo/writeconcern"
)

// serveHere runs FerretDB behind the gate on a port of its own, with PostgreSQL when GATE_TEST_POSTGRESQL names one, else with SQLite
// in a temporary folder. It returns the address.
func serveHere(t *testing.T, users string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	runDir, err := os.MkdirTemp("", "gate")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	postgresql, sqlite := os.Getenv("GATE_TEST_POSTGRESQL"), ""
	if postgresql == "" {
		data := filepath.Join(runDir, "data")
		if err = os.Mkdir(data, 0o700); err != nil {
			t.Fatal(err)
		}
		sqlite = "file:" + data + "/"
	}
	go func() { ended <- serve(ctx, door{listen: address, users: users}, runDir, postgresql, sqlite) }()
	t.Cleanup(func() {
		cancel()
		<-ended
		os.RemoveAll(runDir)
	})
	return address
}

// start returns a database of its own on such a server; GATE_TEST_MONGODB names a server to test instead.
func start(t *testing.T) *mongo.Database {
	t.Helper()
	uri := os.Getenv("GATE_TEST_MONGODB")
	if uri == "" {
		uri = "mongodb://" + serveHere(t, "")
	}
	client, err := mongo.Connect(context.Background(), options.Client().ApplyURI(uri).SetMaxPoolSize(32))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Disconnect(context.Background()) })
	database := client.Database("gate_test_" + time.Now().Format("150405_000000"))
	t.Cleanup(func() { database.Drop(context.Background()) })
	return database
}

type document struct {
	ID      string `bson:"_id"`
	Version int    `bson:"version"`
}

func TestCompareAndSwapUnderContention(t *testing.T) {
	const writers, each = 16, 12
	ctx := context.Background()
	collection := start(t).Collection("entities")
	if _, err := collection.InsertOne(ctx, document{ID: "one"}); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range writers {
		group.Add(1)
		go func() {
			defer group.Done()
			for won := 0; won < each; {
				var found document
				if err := collection.FindOne(ctx, bson.M{"_id": "one"}).Decode(&found); err != nil {
					t.Error(err)
					return
				}
				filter := bson.M{"_id": "one", "version": found.Version}
				result, err := collection.ReplaceOne(ctx, filter, document{ID: "one", Version: found.Version + 1})
				if err != nil {
					t.Error(err)
					return
				}
				won += int(result.ModifiedCount)
			}
		}()
	}
	group.Wait()
	var final document
	if err := collection.FindOne(ctx, bson.M{"_id": "one"}).Decode(&final); err != nil {
		t.Fatal(err)
	}
	if final.Version != writers*each {
		t.Fatalf("%d swaps reported success, the document counts %d", writers*each, final.Version)
	}
}

func TestOneWinnerPerDocument(t *testing.T) {
	ctx := context.Background()
	collection := start(t).Collection("leases")
	var winners atomic.Int64
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		if _, err := collection.InsertOne(ctx, bson.M{"_id": id, "holder": ""}); err != nil {
			t.Fatal(err)
		}
		var group sync.WaitGroup
		for range 8 {
			group.Add(1)
			go func() {
				defer group.Done()
				update := bson.M{"$set": bson.M{"holder": "me"}}
				if collection.FindOneAndUpdate(ctx, bson.M{"_id": id, "holder": ""}, update).Err() == nil {
					winners.Add(1)
				}
			}()
		}
		group.Wait()
	}
	if winners.Load() != 5 {
		t.Fatalf("%d winners of 5 documents", winners.Load())
	}
}

func TestUnacknowledgedWriteIsWritten(t *testing.T) {
	ctx := context.Background()
	database := start(t)
	loose := database.Collection("loose", options.Collection().SetWriteConcern(writeconcern.Unacknowledged()))
	if _, err := loose.InsertOne(ctx, bson.M{"_id": "x"}); err != nil && err != mongo.ErrUnacknowledgedWrite {
		t.Fatal(err)
	}
	deadline := time.Now().Add(5 * time.Second)
	for {
		count, err := database.Collection("loose").CountDocuments(ctx, bson.M{})
		if err != nil {
			t.Fatal(err)
		}
		if count == 1 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the unacknowledged write did not arrive")
		}
	}
}

func message(t *testing.T, document bson.D) []byte {
	t.Helper()
	body, err := bson.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, 21, 21+len(body))
	binary.LittleEndian.PutUint32(data, uint32(21+len(body)))
	binary.LittleEndian.PutUint32(data[12:], opMsg)
	return append(data, body...)
}

func TestCommandsAreRecognised(t *testing.T) {
	table := []struct {
		document bson.D
		want     command
	}{
		{bson.D{{Key: "find", Value: "c"}, {Key: "$db", Value: "d"}}, command{name: "find", kind: read, namespace: "d.c"}},
		{bson.D{{Key: "insert", Value: "c"}, {Key: "ordered", Value: true}, {Key: "n", Value: bson.A{1, "x"}}, {Key: "$db", Value: "d"}}, command{name: "insert", kind: write, namespace: "d.c"}},
		{bson.D{{Key: "findAndModify", Value: "c"}, {Key: "query", Value: bson.D{{Key: "a", Value: 1.5}}}, {Key: "$db", Value: "d"}}, command{name: "findAndModify", kind: write, namespace: "d.c"}},
		{bson.D{{Key: "findandmodify", Value: "c"}, {Key: "$db", Value: "d"}}, command{name: "findandmodify", kind: write, namespace: "d.c"}},
		{bson.D{{Key: "createIndexes", Value: "c"}, {Key: "$db", Value: "d"}}, command{name: "createIndexes", kind: structure, namespace: "d.c"}},
		{bson.D{{Key: "dropDatabase", Value: 1}, {Key: "$db", Value: "d"}}, command{name: "dropDatabase", kind: structure, namespace: "d."}},
		{bson.D{{Key: "hello", Value: 1}}, command{name: "hello", kind: read, namespace: "."}},
		{bson.D{{Key: "find", Value: "c"}, {Key: "$db", Value: "d"}, {Key: "$DB", Value: "e"}}, command{broken: true}},
		{bson.D{{Key: "find", Value: "c"}, {Key: "FIND", Value: "e"}, {Key: "$db", Value: "d"}}, command{broken: true}},
		{bson.D{{Key: "getMore", Value: int64(7)}, {Key: "collection", Value: "c"}, {Key: "$db", Value: "d"}}, command{name: "getMore", kind: read, namespace: "d.c"}},
		{bson.D{}, command{broken: true}},
	}
	for _, row := range table {
		if got := parseCommand(message(t, row.document)); got != row.want {
			t.Errorf("%v: %+v, want %+v", row.document, got, row.want)
		}
	}
	for cut := 16; cut < 60; cut++ {
		whole := message(t, bson.D{{Key: "insert", Value: "collection"}, {Key: "x", Value: bson.D{{Key: "y", Value: 1}}}, {Key: "$db", Value: "d"}})
		parseCommand(whole[:min(cut, len(whole))])
	}
}
