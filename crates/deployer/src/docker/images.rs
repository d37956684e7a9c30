//! Building and pushing images.

use std::collections::HashMap;

use bollard::query_parameters::{
    BuildImageOptionsBuilder, CreateImageOptionsBuilder, PushImageOptionsBuilder, RemoveImageOptions,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc::UnboundedSender;

use super::{Engine, EngineError, INSTALLATION};
use crate::lines::Piece;

/// Memory that a build may use.
const BUILD_BYTES: i32 = 1024 * 1024 * 1024;

/// An image of this host.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ImageSeen {
    pub(crate) id: String,
    pub(crate) labels: HashMap<String, String>,
    /// `name@sha256:…` for each registry that has it.
    pub(crate) digests: Vec<String>,
}

impl Engine {
    /// Looks for an image.
    pub(crate) async fn image(&self, name: &str) -> Result<Option<ImageSeen>, EngineError> {
        match self
            .client()
            .await?
            .inspect_image(name)
            .await
            .map_err(EngineError::from)
        {
            Ok(found) => Ok(Some(ImageSeen {
                id: found.id.unwrap_or_default(),
                labels: found.config.and_then(|config| config.labels).unwrap_or_default(),
                digests: found.repo_digests.unwrap_or_default(),
            })),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Builds an image from a context; what the build prints goes to `output` in pieces as they come.
    ///
    /// # Errors
    /// `Refused` with status 0: a step of the build failed.
    pub(crate) async fn build(
        &self,
        name: &str,
        labels: &HashMap<String, String>,
        context: impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static,
        output: &UnboundedSender<Piece>,
    ) -> Result<(), EngineError> {
        let mut labels = labels.clone();
        labels.insert(INSTALLATION.to_owned(), self.installation.clone());
        let options = BuildImageOptionsBuilder::new()
            .dockerfile("Dockerfile")
            .t(name)
            .labels(&labels)
            .rm(true)
            .forcerm(true)
            .memory(BUILD_BYTES)
            .memswap(BUILD_BYTES)
            .build();
        let client = self.client().await?;
        let mut steps = std::pin::pin!(client.build_image(options, None, Some(bollard::body_try_stream(context))));
        while let Some(step) = steps.next().await {
            let step = step?;
            if let Some(failure) = step.error_detail {
                let message = failure.message.unwrap_or_else(|| "the build failed".to_owned());
                return Err(EngineError::Refused { status: 0, message });
            }
            // Whoever listened is gone only when the build itself is given up.
            step.stream
                .map_or(Ok(()), |piece| output.send(Piece::Output(piece)))
                .unwrap_or_default();
        }
        Ok(())
    }

    /// Removes a name of an image from this host, and the image with its last name; one that is gone is fine.
    ///
    /// # Errors
    /// `Refused`: a container still uses it.
    pub(crate) async fn remove_image(&self, name: &str) -> Result<(), EngineError> {
        let client = self.client().await?;
        match client
            .remove_image(name, None::<RemoveImageOptions>, None)
            .await
            .map_err(EngineError::from)
        {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    /// Pulls an image by its digest.
    pub(crate) async fn pull(&self, image: &str) -> Result<(), EngineError> {
        let client = self.client().await?;
        let options = CreateImageOptionsBuilder::new().from_image(image).build();
        let mut steps = std::pin::pin!(client.create_image(Some(options), None, self.registry.clone()));
        while let Some(step) = steps.next().await {
            if let Some(failure) = step?.error_detail {
                return Err(EngineError::Away(
                    failure.message.unwrap_or_else(|| "the pull failed".to_owned()),
                ));
            }
        }
        Ok(())
    }

    /// Pushes an image to its registry.
    pub(crate) async fn push(&self, repository: &str, tag: &str) -> Result<(), EngineError> {
        let client = self.client().await?;
        let options = PushImageOptionsBuilder::new().tag(tag).build();
        // Without any credentials the Engine refuses to push, even to a registry that wants none.
        let credentials = self.registry.clone().unwrap_or_default();
        let mut steps = std::pin::pin!(client.push_image(repository, Some(options), Some(credentials)));
        while let Some(step) = steps.next().await {
            if let Some(failure) = step?.error_detail {
                return Err(EngineError::Away(
                    failure.message.unwrap_or_else(|| "the push failed".to_owned()),
                ));
            }
        }
        Ok(())
    }
}
