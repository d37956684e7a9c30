//! The REST API as any program would use it.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::wait::until;

/// A signed-in client.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    /// Name of the user.
    pub user: String,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its body as JSON, or as text where it is none.
    pub body: Value,
}

impl Client {
    /// Makes a client that is not signed in.
    ///
    /// # Errors
    /// When the HTTP client can not be made.
    pub fn anonymous(base: &str) -> Result<Self> {
        let http = reqwest::Client::builder()
            .cookie_store(true)
            .timeout(Duration::from_secs(60))
            .build()?;
        Ok(Self {
            http,
            base: base.to_owned(),
            user: "nobody".to_owned(),
        })
    }

    /// Signs in.
    ///
    /// # Errors
    /// When the pair is refused.
    pub async fn sign_in(base: &str, name: &str, password: &str) -> Result<Self> {
        let client = Self {
            user: name.to_owned(),
            ..Self::anonymous(base)?
        };
        client
            .post("/api/v1/session", &json!({ "name": name, "password": password }))
            .await?;
        Ok(client)
    }

    /// Signs in with a one-time password and changes it.
    ///
    /// # Errors
    /// When either is refused.
    pub async fn sign_in_first(base: &str, name: &str, first: &str, password: &str) -> Result<Self> {
        let client = Self::sign_in(base, name, first).await?;
        client
            .post(
                "/api/v1/session/password",
                &json!({ "current": first, "new": password }),
            )
            .await?;
        Self::sign_in(base, name, password).await
    }

    /// Makes a user with roles, as this admin, and signs in as that user.
    ///
    /// # Errors
    /// When either is refused.
    pub async fn user(&self, name: &str, roles: &[&str], email: Option<&str>) -> Result<Self> {
        let name = &format!("{name}-{}", mark());
        let mut body = json!({ "name": name, "title": name, "roles": roles });
        if let Some(email) = email {
            body["email"] = json!(email);
        }
        let made = self.post("/api/v1/users", &body).await?;
        let first = made["one_time_password"]
            .as_str()
            .with_context(|| format!("no one-time password in {made}"))?;
        Self::sign_in_first(&self.base, name, first, &format!("a long password of {name}")).await
    }

    /// Sends a request and returns whatever the answer is.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await?;
        let status = response.status();
        let text = response.text().await?;
        Ok(Answer {
            status,
            body: serde_json::from_str(&text).unwrap_or(Value::String(text)),
        })
    }

    /// Gets an object.
    ///
    /// # Errors
    /// When the answer is no success.
    pub async fn get(&self, path: &str) -> Result<Value> {
        self.expect_success(Method::GET, path, None).await
    }

    /// Gets all items of a list, following its pages.
    ///
    /// # Errors
    /// When the answer is no success.
    pub async fn list(&self, path: &str) -> Result<Vec<Value>> {
        let mut items = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let joint = if path.contains('?') { '&' } else { '?' };
            let page = match &next {
                Some(after) => self.get(&format!("{path}{joint}limit=200&after={after}")).await?,
                None => self.get(&format!("{path}{joint}limit=200")).await?,
            };
            items.extend(page["items"].as_array().context("a list has items")?.iter().cloned());
            match page["next"].as_str() {
                Some(after) => next = Some(after.to_owned()),
                None => return Ok(items),
            }
        }
    }

    /// Posts an object; an answer of 202 with an operation is followed to its end.
    ///
    /// # Errors
    /// When the answer is no success.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.expect_success(Method::POST, path, Some(body)).await
    }

    /// Deletes.
    ///
    /// # Errors
    /// When the answer is no success.
    pub async fn delete(&self, path: &str) -> Result<Value> {
        self.expect_success(Method::DELETE, path, None).await
    }

    async fn expect_success(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let answer = self.send(method.clone(), path, body).await?;
        ensure!(
            answer.status.is_success(),
            "{method} {path}: {} {}",
            answer.status,
            answer.body
        );
        Ok(answer.body)
    }

    /// Uploads a bundle and waits until its version is ready; returns the application.
    ///
    /// # Errors
    /// When it is refused or its image can not be built.
    pub async fn upload(&self, zip: Vec<u8>) -> Result<Value> {
        let answer = self.upload_only(zip).await?;
        ensure!(answer.status.is_success(), "upload: {} {}", answer.status, answer.body);
        let (name, number) = upload_names(&answer.body)?;
        until(
            &format!("{name} {number} is ready"),
            Duration::from_secs(240),
            || async {
                let application = self.get(&format!("/api/v1/applications/{name}")).await?;
                let versions = application["versions"].as_array().context("versions")?;
                let version = versions
                    .iter()
                    .find(|version| version["number"] == number.as_str())
                    .context("the version is listed")?;
                match version["state"].as_str() {
                    Some("ready") => Ok(Some(application)),
                    Some("failed") => bail!("the build failed: {version}"),
                    _ => Ok(None),
                }
            },
        )
        .await
    }

    /// Uploads a bundle and returns the first answer.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn upload_only(&self, zip: Vec<u8>) -> Result<Answer> {
        let part = reqwest::multipart::Part::bytes(zip)
            .file_name("bundle.zip")
            .mime_str("application/zip")?;
        let form = reqwest::multipart::Form::new().part("bundle", part);
        let response = self
            .http
            .post(format!("{}/api/v1/applications?listed=everyone", self.base))
            .multipart(form)
            .send()
            .await?;
        let status = response.status();
        let text = response.text().await?;
        Ok(Answer {
            status,
            body: serde_json::from_str(&text).unwrap_or(Value::String(text)),
        })
    }

    /// Gets a page of an application or any other absolute address.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn fetch(&self, address: &str) -> Result<(StatusCode, String)> {
        let response = self.http.get(address).send().await?;
        Ok((response.status(), response.text().await?))
    }
}

/// Tells the names of one run from those of another on a kept installation.
#[must_use]
pub fn mark() -> String {
    std::process::id().to_string()
}

fn upload_names(body: &Value) -> Result<(String, String)> {
    let text = |value: &Value| {
        value
            .as_str()
            .map(ToOwned::to_owned)
            .with_context(|| format!("no application and version in {body}"))
    };
    Ok((text(&body["application"]["name"])?, text(&body["version"])?))
}
