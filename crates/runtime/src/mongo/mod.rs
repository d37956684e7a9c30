//! MongoDB: [`Documents`] on a real server. Stays inside what MongoDB 7/8 and FerretDB 1.24 have in common.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bson::{Bson, Document as BsonDocument, doc};
use common::settings::{Account, Settings, Tls};
use futures_util::TryStreamExt;
use mongodb::options::{
    Acknowledgment, AuthMechanism, ClientOptions, Credential, ReadConcern, TlsOptions, WriteConcern,
};
use mongodb::{Client, Collection, Database, IndexModel};

use crate::bus::Record;
use crate::store::{Document, Documents, StoreError};

/// A database.
#[derive(Debug, Clone)]
pub struct Mongo {
    database: Database,
}

impl Mongo {
    /// Makes a client; connecting happens with the first use and never gives up.
    ///
    /// # Errors
    /// When the connection string is not valid, or the service's password cannot be read.
    pub async fn connect(settings: &Settings, service: &str) -> anyhow::Result<Self> {
        let mut options = ClientOptions::parse(&settings.mongodb.uri).await?;
        if let Some(account) = &settings.mongodb.account {
            let (username, secret) = account.of(service);
            let credential = options.credential.get_or_insert_with(Credential::default);
            credential.username = Some(username);
            credential.password = Some(settings.secret(&secret)?);
            match account {
                Account::Own => credential.mechanism = Some(AuthMechanism::ScramSha256),
                // Server and driver agree on one; the driver forgets where the account is when the string has no name in it.
                Account::Shared { .. } => credential.source = auth_source(&settings.mongodb.uri),
            }
        }
        if let Some(Tls { ca }) = &settings.mongodb.tls {
            let mut tls = TlsOptions::default();
            tls.ca_file_path.clone_from(ca);
            options.tls = Some(mongodb::options::Tls::Enabled(tls));
        }
        options.app_name = Some(service.to_owned());
        options.server_selection_timeout = Some(Duration::from_secs(3));
        options.connect_timeout = Some(Duration::from_secs(2));
        options.max_pool_size = Some(16);
        // A retried write is our own affair: the compare-and-swap sees its message in `seen`.
        options.retry_writes = Some(false);
        options.write_concern = Some(
            WriteConcern::builder()
                .w(Acknowledgment::Majority)
                .journal(true)
                .build(),
        );
        if options.repl_set_name.is_some() {
            // What a primary that is cut off wrote may be taken back; nobody may have been told of it.
            options.read_concern = Some(ReadConcern::majority());
        }
        Ok(Self {
            database: Client::with_options(options)?.database(&settings.mongodb.database),
        })
    }

    /// Returns the database, for `store` files that need more than documents.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Returns the store of documents.
    #[must_use]
    pub fn documents(&self) -> Arc<dyn Documents> {
        Arc::new(self.clone())
    }

    /// Asks whether the server answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.database
            .run_command(doc! { "ping": 1 })
            .await
            .map(|_| ())
            .map_err(unavailable("ping"))
    }

    fn collection(&self, name: &str) -> Collection<BsonDocument> {
        self.database.collection(name)
    }
}

/// The database in which an account is, where a connection string says so.
fn auth_source(uri: &str) -> Option<String> {
    let (_, options) = uri.split_once('?')?;
    options.split('&').find_map(|option| {
        let (name, value) = option.split_once('=')?;
        name.eq_ignore_ascii_case("authSource").then(|| value.to_owned())
    })
}

/// Turns a driver's error into [`StoreError::Unavailable`].
pub fn unavailable(operation: &'static str) -> impl Fn(mongodb::error::Error) -> StoreError {
    move |error| StoreError::Unavailable {
        operation,
        message: error.to_string(),
    }
}

/// Whether an insert failed because the id exists.
#[must_use]
pub fn is_duplicate(error: &mongodb::error::Error) -> bool {
    use mongodb::error::{ErrorKind, WriteFailure};
    match error.kind.as_ref() {
        ErrorKind::Write(WriteFailure::WriteError(error)) => error.code == 11000,
        ErrorKind::Command(error) => error.code == 11000,
        _ => false,
    }
}

fn encode(document: &Document) -> BsonDocument {
    let mut index = BsonDocument::new();
    for (key, value) in &document.index {
        index.insert(key, value);
    }
    doc! {
        "_id": &document.id,
        "version": stored(document.version),
        // JSON text: what people choose as keys (`a.b`, `$x`) never meets the database's rules for field names.
        "body": document.body.clone(),
        "seen": document.seen.clone(),
        "pending": !document.outbox.is_empty(),
        "outbox": encode_records(&document.outbox),
        "newest": encode_records(&document.newest),
        "index": index,
    }
}

fn encode_records(records: &[Record]) -> Vec<Bson> {
    let one = |record: &Record| {
        // An array of documents: FerretDB takes no arrays in arrays.
        let headers = record.headers.iter();
        let headers: Vec<Bson> = headers
            .map(|(key, value)| Bson::Document(doc! { "key": key, "value": value }))
            .collect();
        Bson::Document(
            doc! { "topic": &record.topic, "key": &record.key, "payload": record.payload.clone(), "headers": headers },
        )
    };
    records.iter().map(one).collect()
}

fn decode_records(list: &[Bson]) -> Result<Vec<Record>, String> {
    let text = |record: &BsonDocument, name: &str| {
        let found = record.get_str(name).map(ToOwned::to_owned);
        found.map_err(|error| error.to_string())
    };
    let one = |item: &Bson| {
        let record = item.as_document().ok_or("a record is no document")?;
        let headers = record.get_array("headers").map_err(|error| error.to_string())?;
        Ok(Record {
            topic: text(record, "topic")?,
            key: text(record, "key")?,
            payload: record.get_str("payload").ok().map(ToOwned::to_owned),
            headers: headers
                .iter()
                .filter_map(|pair| {
                    let pair = pair.as_document()?;
                    Some((
                        pair.get_str("key").ok()?.to_owned(),
                        pair.get_str("value").ok()?.to_owned(),
                    ))
                })
                .collect(),
        })
    };
    list.iter().map(one).collect()
}

fn stored(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

fn decode(collection: &str, found: &BsonDocument) -> Result<Document, StoreError> {
    let id = found.get_str("_id").unwrap_or_default().to_owned();
    let corrupt = |error: &dyn std::fmt::Display| StoreError::Corrupt {
        collection: collection.to_owned(),
        id: id.clone(),
        message: error.to_string(),
    };
    let strings = |list: &[Bson]| {
        list.iter()
            .filter_map(|item| item.as_str().map(ToOwned::to_owned))
            .collect::<Vec<_>>()
    };
    let records = |name: &str| found.get_array(name).map(|list| decode_records(list));
    let outbox = records("outbox").map_err(|error| corrupt(&error))?;
    // Absent in documents of earlier releases.
    let newest = records("newest").unwrap_or_else(|_| Ok(Vec::new()));
    let version = found.get_i64("version").map_err(|error| corrupt(&error))?;
    Ok(Document {
        version: u64::try_from(version).map_err(|error| corrupt(&error))?,
        body: found.get_str("body").ok().map(ToOwned::to_owned),
        seen: found.get_array("seen").map(|list| strings(list)).unwrap_or_default(),
        outbox: outbox.map_err(|error| corrupt(&error))?,
        newest: newest.map_err(|error| corrupt(&error))?,
        index: found
            .get_document("index")
            .map(|index| {
                index
                    .iter()
                    .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
                    .collect()
            })
            .unwrap_or_default(),
        id,
    })
}

#[async_trait]
impl Documents for Mongo {
    async fn find(&self, collection: &'static str, id: &str) -> Result<Option<Document>, StoreError> {
        let found = self
            .collection(collection)
            .find_one(doc! { "_id": id })
            .await
            .map_err(unavailable("find"))?;
        found.map(|found| decode(collection, &found)).transpose()
    }

    async fn insert(&self, collection: &'static str, document: &Document) -> Result<bool, StoreError> {
        match self.collection(collection).insert_one(encode(document)).await {
            Ok(_) => Ok(true),
            Err(error) if is_duplicate(&error) => Ok(false),
            Err(error) => Err(unavailable("insert")(error)),
        }
    }

    async fn replace(&self, collection: &'static str, document: &Document, expected: u64) -> Result<bool, StoreError> {
        let filter = doc! { "_id": &document.id, "version": stored(expected) };
        let result = self
            .collection(collection)
            .replace_one(filter, encode(document))
            .await
            .map_err(unavailable("replace"))?;
        Ok(result.matched_count == 1)
    }

    async fn delete(&self, collection: &'static str, id: &str, expected: u64) -> Result<bool, StoreError> {
        let filter = doc! { "_id": id, "version": stored(expected) };
        let result = self
            .collection(collection)
            .delete_one(filter)
            .await
            .map_err(unavailable("delete"))?;
        Ok(result.deleted_count == 1)
    }

    async fn list(
        &self,
        collection: &'static str,
        filter: &[(&str, &str)],
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Document>, StoreError> {
        let mut query = BsonDocument::new();
        for (key, value) in filter {
            query.insert(format!("index.{key}"), *value);
        }
        if let Some(after) = after {
            query.insert("_id", doc! { "$gt": after });
        }
        self.fetch(collection, query, limit).await
    }

    async fn pending(&self, collection: &'static str, limit: usize) -> Result<Vec<Document>, StoreError> {
        self.fetch(collection, doc! { "pending": true }, limit).await
    }

    async fn ensure(&self, collection: &'static str, fields: &'static [&'static str]) -> Result<(), StoreError> {
        let names = fields
            .iter()
            .map(|field| format!("index.{field}"))
            .chain(std::iter::once("pending".to_owned()));
        for name in names {
            let model = IndexModel::builder().keys(doc! { name: 1 }).build();
            self.collection(collection)
                .create_index(model)
                .await
                .map_err(unavailable("create an index"))?;
        }
        Ok(())
    }
}

impl Mongo {
    async fn fetch(
        &self,
        collection: &'static str,
        query: BsonDocument,
        limit: usize,
    ) -> Result<Vec<Document>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let cursor = self
            .collection(collection)
            .find(query)
            .sort(doc! { "_id": 1 })
            .limit(limit)
            .await
            .map_err(unavailable("list"))?;
        let found: Vec<BsonDocument> = cursor.try_collect().await.map_err(unavailable("list"))?;
        found.iter().map(|found| decode(collection, found)).collect()
    }
}
