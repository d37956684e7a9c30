//! A connection to a host.

use std::fmt;
use std::time::Duration;

use russh::Disconnect;
use russh::client::Handle;
use tokio::time::timeout;

use super::authentication::{own_key, sign_in};
use super::error::{Phase, SshError};
use super::link::{Client, link, within};
use super::target::Target;

/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// A host that let us in. Dropping it ends the connection; [`Session::close`] says goodbye first.
pub struct Session {
    target: Target,
    handle: Handle<Client>,
    bastion: Option<Box<Session>>,
}

impl Session {
    /// Connects to a host, checks its key and signs in.
    ///
    /// # Errors
    /// A private key that cannot be used is told of before anything is sent. See [`SshError`] for the rest.
    pub async fn connect(target: &Target) -> Result<Self, SshError> {
        let key = own_key(target).await?;
        let (mut handle, bastion) = Box::pin(link(target)).await?;
        let limit = target.timeouts.authentication;
        let signing = Box::pin(sign_in(target, &mut handle, key));
        within(target, Phase::Authentication, limit, signing).await??;
        Ok(Self {
            target: target.clone(),
            handle,
            bastion: bastion.map(Box::new),
        })
    }

    /// The host.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Whether the connection has ended; what is still asked of it is answered by [`SshError::Closed`].
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }

    /// Ends the connection, and that to the bastion after it.
    pub async fn close(self) {
        let mut sessions = vec![self];
        while let Some(session) = sessions.pop() {
            let goodbye = session.handle.disconnect(Disconnect::ByApplication, "", "en");
            // A host that is gone need not hear it; dropping the handle ends the connection anyway.
            if timeout(GOODBYE, goodbye).await.is_ok_and(|said| said.is_ok()) {
                timeout(GOODBYE, session.handle).await.ok();
            }
            sessions.extend(session.bastion.map(|bastion| *bastion));
        }
    }

    pub(super) fn handle(&self) -> &Handle<Client> {
        &self.handle
    }

    /// The error for a connection that broke.
    pub(super) fn closed(&self, phase: Phase, reason: impl fmt::Display) -> SshError {
        SshError::closed(&self.target, phase, reason)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Session")
            .field("host", &self.target.name)
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
