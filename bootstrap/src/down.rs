//! Stopping an installation, and removing it.

use anyhow::{Context as _, Result};

use crate::command::{command, succeeds};
use crate::engine;
use crate::installation::Installation;
use crate::layout::account;
use crate::progress::Reporter;
use crate::{network, restore};

impl Installation {
    /// Stops everything of this installation; data stays. The Engine goes on: others may use it. Tells whether anything ran.
    ///
    /// # Errors
    /// When something does not stop.
    pub async fn down(&self, reporter: &dyn Reporter) -> Result<bool> {
        // The services first: the deployer would start its instances again.
        let stopped = self.supervisor().shutdown().await?;
        reporter.says(if stopped {
            "services, kafka, mongodb and registry: stopped"
        } else {
            "services: were not running"
        });
        if engine::answers().await {
            let ends = engine::remove_services(&self.config.name)
                .await
                .context("could not stop the applications")?;
            if !ends.is_zero() {
                reporter.says(&format!("applications: have {} s to end", ends.as_secs()));
            }
            engine::clear_network(&self.names().network, ends).await;
            reporter.says("applications: stopped");
        }
        Ok(stopped)
    }

    /// Removes everything of a stopped installation: data, network, firewall rules, images, account.
    ///
    /// # Errors
    /// When the data cannot be removed.
    pub async fn delete_data(&self, reporter: &dyn Reporter) -> Result<()> {
        if let Some(subnet) = self.subnet() {
            self.firewall(subnet).remove().await;
        }
        if engine::answers().await {
            if !network::remove(&self.names()).await {
                reporter.says(&network::held(&self.names()));
            }
            engine::remove_images(&format!("{}/*", self.config.name)).await;
            engine::remove_images(&format!("127.0.0.1:{}/*", self.config.ports.registry)).await;
            engine::remove_images(&format!("127.0.0.1:{}/*/*", self.config.ports.registry)).await;
            reporter.says("network, firewall rules and images: removed");
        }
        let folder = self.layout.data_dir();
        if self.layout.marker().exists() {
            std::fs::remove_dir_all(folder).with_context(|| format!("could not remove {}", folder.display()))?;
            reporter.says(&format!("{}: removed", folder.display()));
        } else {
            restore::forget_unfinished(&self.layout)?;
        }
        succeeds(command("userdel", [account(&self.config.name)])).await;
        Ok(())
    }
}
