//! Mail by SMTP.

use std::time::Duration;

use common::messages::action::{Notification, Severity};
use common::settings::{Settings, SmtpSettings};
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};

use crate::notification::Failure;

/// Time for each step of the protocol.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Sends mail, or says why it can not.
#[derive(Debug)]
pub(super) struct Mailer {
    ready: Result<(AsyncSmtpTransport<Tokio1Executor>, Mailbox), String>,
}

impl Mailer {
    /// Takes the settings. What is wrong with them is said of each mail, and does not keep the rest from working.
    pub(super) fn new(smtp: &SmtpSettings, settings: &Settings) -> Self {
        let ready = connect(smtp, settings);
        if let Err(why) = &ready {
            tracing::error!(why, "mail can not be sent");
        }
        Self { ready }
    }

    pub(super) async fn send(&self, notification: &Notification, to: &str) -> Result<(), Failure> {
        let (transport, from) = self.ready.as_ref().map_err(Failure::permanent)?;
        let to: Mailbox = to
            .parse()
            .map_err(|error| Failure::permanent(format!("`{to}` is no mail address: {error}")))?;
        let mail = compose(notification, from.clone(), to).map_err(Failure::permanent)?;
        match transport.send(mail).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_permanent() => Err(Failure::permanent(format!("the mail server refused: {error}"))),
            Err(error) => Err(Failure::passing(format!("the mail server did not take it: {error}"))),
        }
    }
}

fn connect(smtp: &SmtpSettings, settings: &Settings) -> Result<(AsyncSmtpTransport<Tokio1Executor>, Mailbox), String> {
    let from = smtp
        .from
        .parse()
        .map_err(|error| format!("smtp.from `{}` is no mail address: {error}", smtp.from))?;
    let builder = if smtp.tls {
        AsyncSmtpTransport::<Tokio1Executor>::starttls_relay(&smtp.host).map_err(|error| error.to_string())?
    } else {
        AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&smtp.host)
    };
    let mut builder = builder.port(smtp.port).timeout(Some(TIMEOUT));
    if let Some(username) = &smtp.username {
        let password = settings.secret("smtp.password").map_err(|error| error.to_string())?;
        builder = builder.credentials(Credentials::new(username.clone(), password));
    }
    Ok((builder.build(), from))
}

fn compose(notification: &Notification, from: Mailbox, to: Mailbox) -> Result<Message, String> {
    let severity = match notification.severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    };
    let id = format!("<{}@{}>", notification.id, from.email.domain());
    let text = format!(
        "{}\r\n\r\n-- \r\n{}, {} UTC\r\n",
        notification.text,
        notification.application,
        notification.at.jiff().strftime("%Y-%m-%d %H:%M:%S")
    );
    Message::builder()
        .from(from)
        .to(to)
        .subject(format!("[{severity}] {}", notification.title))
        // The same for each try: the receiver can tell a repeat.
        .message_id(Some(id))
        .header(ContentType::TEXT_PLAIN)
        .body(text)
        .map_err(|error| error.to_string())
}
