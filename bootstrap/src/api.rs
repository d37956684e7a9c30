//! The platform's REST API, as any program would use it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// Longest time that another service may take for what it was asked.
const OPERATION_LIMIT: Duration = Duration::from_secs(60);
/// How long an image may take to build before a caller of [`Client::upload`] is told so.
const BUILD_LIMIT: Duration = Duration::from_secs(240);

/// A client; signed in, or with a token.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
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
    /// Where it says that there is more.
    pub location: Option<String>,
}

impl Client {
    /// Makes a client that is not signed in.
    ///
    /// # Errors
    /// When the HTTP client can not be made.
    pub fn anonymous(base: &str) -> Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .cookie_store(true)
            .timeout(Duration::from_secs(60))
            .build()?;
        Ok(Self {
            http,
            base: base.to_owned(),
            token: None,
            user: "nobody".to_owned(),
        })
    }

    /// Makes a client that shows a token.
    ///
    /// # Errors
    /// When the HTTP client can not be made.
    pub fn with_token(base: &str, user: &str, token: String) -> Result<Self> {
        Ok(Self {
            user: user.to_owned(),
            token: Some(token),
            ..Self::anonymous(base)?
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
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.json(body);
        }
        answer(request).await
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Gets an object.
    ///
    /// # Errors
    /// When the answer is no success.
    pub async fn get(&self, path: &str) -> Result<Value> {
        self.expect_success(Method::GET, path, None).await
    }

    /// Gets an object that need not be there.
    ///
    /// # Errors
    /// When the answer is neither a success nor 404.
    pub async fn find(&self, path: &str) -> Result<Option<Value>> {
        let answer = self.send(Method::GET, path, None).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        success(&Method::GET, path, answer).map(Some)
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

    /// Posts an object.
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
        let promised = (answer.status == StatusCode::ACCEPTED)
            .then(|| answer.location.clone())
            .flatten();
        let body = success(&method, path, answer)?;
        let Some(operation) = promised
            .as_deref()
            .and_then(|link| link.strip_prefix("/api/v1/operations/"))
        else {
            return Ok(body);
        };
        let known = self.follow(&method, path, operation).await?;
        // A secret comes with the promise, and never again.
        Ok(if body["operation"].is_null() { body } else { known })
    }

    /// Waits for the end of what another service carries out, and returns what it is about.
    async fn follow(&self, method: &Method, path: &str, operation: &str) -> Result<Value> {
        let began = Instant::now();
        loop {
            let known = self
                .send(Method::GET, &format!("/api/v1/operations/{operation}"), None)
                .await?;
            let known = success(&Method::GET, path, known)?;
            match known["state"].as_str() {
                Some("done") if *method == Method::DELETE => return Ok(Value::Null),
                Some("done") => {
                    let link = known["link"].as_str().context("an operation says what it is about")?;
                    let shown = self.send(Method::GET, link, None).await?;
                    // What was made may be told of a moment later than that it was made.
                    if shown.status != StatusCode::NOT_FOUND || began.elapsed() >= OPERATION_LIMIT {
                        return success(&Method::GET, link, shown);
                    }
                }
                Some("refused") => bail!("{method} {path}: {known}"),
                _ => ensure!(
                    began.elapsed() < OPERATION_LIMIT,
                    "{method} {path}: not carried out after {} s: {known}",
                    OPERATION_LIMIT.as_secs()
                ),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Uploads a bundle and waits until its version is ready; returns the application.
    ///
    /// # Errors
    /// When it is refused or its image can not be built.
    pub async fn upload(&self, zip: Vec<u8>) -> Result<Value> {
        let answer = self.upload_only(zip).await?;
        ensure!(answer.status.is_success(), "upload: {} {}", answer.status, answer.body);
        let (name, number) = upload_names(&answer.body)?;
        let began = Instant::now();
        loop {
            let application = self.get(&format!("/api/v1/applications/{name}")).await?;
            let versions = application["versions"].as_array().context("versions")?;
            let version = versions
                .iter()
                .find(|version| version["number"] == number.as_str())
                .context("the version is listed")?;
            match version["state"].as_str() {
                Some("ready") => return Ok(application),
                Some("failed") => bail!("the build of {name} {number} failed: {version}"),
                _ => ensure!(
                    began.elapsed() < BUILD_LIMIT,
                    "{name} {number} is still not ready after {} s: {version}",
                    BUILD_LIMIT.as_secs()
                ),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
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
        answer(
            self.request(Method::POST, "/api/v1/applications?listed=everyone")
                .multipart(form),
        )
        .await
    }

    /// Gets a page of an application or any other absolute address; the token is not shown there.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn fetch(&self, address: &str) -> Result<(StatusCode, String)> {
        let response = self.http.get(address).send().await?;
        Ok((response.status(), response.text().await?))
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Result<Answer> {
    let response = request.send().await?;
    let status = response.status();
    let location = response
        .headers()
        .get(reqwest::header::LOCATION)
        .and_then(|link| link.to_str().ok())
        .map(str::to_owned);
    let text = response.text().await?;
    Ok(Answer {
        status,
        location,
        body: serde_json::from_str(&text).unwrap_or(Value::String(text)),
    })
}

fn success(method: &Method, path: &str, answer: Answer) -> Result<Value> {
    ensure!(
        answer.status.is_success(),
        "{method} {path}: {} {}",
        answer.status,
        answer.body
    );
    Ok(answer.body)
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
