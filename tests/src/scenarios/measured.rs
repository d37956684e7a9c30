//! Short forms of campaigns: measured and told, never judged.

use anyhow::Result;

use crate::stack::Stack;

/// One round of the latency campaign.
pub(super) async fn latency(stack: &Stack) -> Result<()> {
    for line in crate::campaigns::latency_once(stack).await?.lines() {
        crate::say(&format!("    {line}"));
    }
    Ok(())
}
