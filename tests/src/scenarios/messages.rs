//! Notifications that leave the platform.

use std::time::Duration;

use anyhow::{Result, ensure};
use reqwest::Method;
use serde_json::json;

use super::path::instance_is;
use crate::client::member;
use crate::receivers::Receiver;
use crate::site::{Plan, Site, id, room_comfort};
use crate::stack::{Stack, WEBHOOK_PORT};
use crate::wait::until;

/// A notification reaches the console at once, and mail and webhook as soon as those servers are there, once each.
pub(super) async fn mail_and_webhook(stack: &Stack) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let user = member(stack.admin(), "mara", &["end_user"]).await?;
    let contact = json!({ "email": "mara@example.org", "webhook": format!("http://127.0.0.1:{WEBHOOK_PORT}/notify") });
    let answer = user
        .send(Method::PATCH, &format!("/api/v1/users/{}", user.user), Some(&contact))
        .await?;
    ensure!(answer.status.is_success(), "contact: {} {}", answer.status, answer.body);
    let application = room_comfort(stack).await?;
    let plan = Plan {
        sensors: 1,
        every_ms: 100,
        fans: 1,
        ..Plan::room("Warm room")
    };
    let site = Site::register(stack, &plan, folder.path()).await?;
    let instance = id(&site.run_now(&user, &application, json!({ "threshold": 16 })).await?)?;
    instance_is(&user, &instance, "running").await?;
    let simulation = site.play().await?;
    let path = format!("/api/v1/instances/{instance}/notifications");
    let title = until(
        "the notification is in the console",
        Duration::from_secs(60),
        || async {
            let notifications = user.list(&path).await?;
            Ok(notifications
                .first()
                .and_then(|notification| notification["title"].as_str().map(str::to_owned)))
        },
    )
    .await?;
    simulation.stop(Duration::from_secs(10)).await?;

    // Only now the two servers come up: what could not be delivered is tried again.
    let (mails, posts) = (
        Receiver::mails(stack.smtp_port()).await?,
        Receiver::posts(WEBHOOK_PORT).await?,
    );
    until("mail and webhook have it", Duration::from_secs(120), || async {
        let (mails, posts) = (mails.received(), posts.received());
        ensure!(
            !mails.is_empty() && !posts.is_empty(),
            "{} mails, {} posts",
            mails.len(),
            posts.len()
        );
        Ok(Some(()))
    })
    .await?;
    user.post(&format!("/api/v1/instances/{instance}/stop"), &json!({}))
        .await?;
    instance_is(&user, &instance, "stopped").await?;
    let sent = user.list(&path).await?.len();
    let mails: Vec<String> = mails.received().iter().map(|mail| mail.replace("=\r\n", "")).collect();
    ensure!(
        mails
            .iter()
            .any(|mail| mail.contains("mara@example.org") && mail.contains("too warm")),
        "mails: {mails:?}"
    );
    let posts = posts.received();
    ensure!(posts.iter().any(|post| post.contains(&title)), "posts: {posts:?}");
    ensure!(
        mails.len() <= sent && posts.len() <= sent,
        "{} mails and {} posts of {sent}",
        mails.len(),
        posts.len()
    );
    Ok(())
}
