//! Commands on a host.

use std::io;
use std::time::Duration;

use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::time::timeout;

use super::error::{Phase, SshError};
use super::session::Session;

/// Most bytes that are kept of what a command says, so that one that never stops does not fill the memory.
const MOST: usize = 64 * 1024 * 1024;

/// How long it may take to tell the host that a command is given up.
const GIVE_UP: Duration = Duration::from_secs(1);

/// Takes what a command says, piece by piece.
pub type Take<'a> = &'a mut (dyn FnMut(&[u8]) -> io::Result<()> + Send);

/// What a command said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    /// Exit status; none when a signal ended it.
    pub status: Option<u32>,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

impl Session {
    /// Runs a command in the shell of the user. `input` is its standard input, which ends after that; secrets belong there,
    /// since every user of the host may see the command itself. A command that leaves a child behind that still holds its
    /// output has not ended.
    ///
    /// # Errors
    /// When it does not end within `limit`: it is killed then, if the host can do that. A status that is not 0 is no error.
    pub async fn run(&self, command: &str, input: &[u8], limit: Duration) -> Result<Output, SshError> {
        let mut stdout = Vec::new();
        let mut keep = |bytes: &[u8]| {
            stdout.extend_from_slice(bytes);
            if stdout.len() > MOST {
                return Err(io::Error::other(
                    "it said more than 64 MiB; write its output to a file there",
                ));
            }
            Ok(())
        };
        let output = self.run_taking(command, input, limit, &mut keep).await?;
        Ok(Output { stdout, ..output })
    }

    /// As [`Session::run`], for a command that says much or does not end by itself: `take` gets its standard output as it comes.
    ///
    /// # Errors
    /// Those of [`Session::run`], and when `take` fails: the command is killed then, too.
    pub async fn run_taking(
        &self,
        command: &str,
        input: &[u8],
        limit: Duration,
        take: Take<'_>,
    ) -> Result<Output, SshError> {
        let opening = async {
            let channel = self.handle().channel_open_session().await?;
            let (read, write) = channel.split();
            write.exec(true, command).await?;
            Ok::<_, russh::Error>((read, write))
        };
        let late = || SshError::timed_out(self.target(), Phase::Command, limit);
        let started = tokio::time::Instant::now();
        let (mut read, write) = timeout(limit, opening)
            .await
            .map_err(|_| late())?
            .map_err(|error| self.unopened(error))?;
        let rest = limit.saturating_sub(started.elapsed());
        let ended = timeout(rest, self.converse(&mut read, &write, input, take)).await;
        if !matches!(ended, Ok(Ok(_))) {
            // Without this it would go on at the host, whose slots for channels are few. A host that does not listen any
            // more need not hear it.
            let farewell = async {
                write.signal(Sig::KILL).await.ok();
                write.close().await.ok();
            };
            timeout(GIVE_UP, farewell).await.ok();
        }
        ended.map_err(|_| late())?
    }

    /// Gives a command its input while it is listened to: it may end before it has read everything, or say much before.
    async fn converse(
        &self,
        read: &mut ChannelReadHalf,
        write: &ChannelWriteHalf<Msg>,
        input: &[u8],
        take: Take<'_>,
    ) -> Result<Output, SshError> {
        let feeding = async {
            // A command that does not read its input is no error; how it ended is told by the other side.
            if write.data_bytes(input.to_vec()).await.is_ok() {
                write.eof().await.ok();
            }
        };
        tokio::pin!(feeding);
        let mut output = Output::default();
        let (mut fed, mut ended) = (false, false);
        loop {
            let message = tokio::select! {
                message = read.wait() => message,
                () = &mut feeding, if !fed => {
                    fed = true;
                    continue;
                }
            };
            match message {
                Some(ChannelMsg::Data { data }) => {
                    take(&data)
                        .map_err(|error| self.failed(&format!("what a command said could not be taken: {error}")))?;
                }
                Some(ChannelMsg::ExtendedData { data, ext: 1 }) => output.stderr.extend_from_slice(&data),
                Some(ChannelMsg::Failure) => return Err(self.failed("it runs no commands for this user")),
                Some(ChannelMsg::ExitStatus { exit_status }) => {
                    output.status = Some(exit_status);
                    ended = true;
                }
                Some(ChannelMsg::ExitSignal { .. }) => ended = true,
                Some(ChannelMsg::Close) | None => break,
                Some(_) => {}
            }
            if output.stderr.len() > MOST {
                return Err(self.failed("a command complained of more than 64 MiB; write that to a file there"));
            }
        }
        if ended {
            return Ok(output);
        }
        Err(self.closed(Phase::Command, "before it ended"))
    }

    /// The error for a channel that does not open.
    pub(super) fn unopened(&self, error: russh::Error) -> SshError {
        match error {
            russh::Error::ChannelOpenFailure(reason) => self.failed(&format!(
                "it opens no further channel ({reason:?}); raise MaxSessions there"
            )),
            error => self.closed(Phase::Command, error),
        }
    }

    fn failed(&self, reason: &str) -> SshError {
        SshError::Command {
            host: self.target().name.clone(),
            reason: reason.to_owned(),
        }
    }
}
