//! Queries and passages of made-up requests for rankings.

use crate::values::Number;
use clap::Args;
use serde::{Deserialize, Serialize};

/// Settings of made-up queries and passages; any of them asks for such data.
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[command(next_help_heading = "Rankings")]
#[serde(default, rename_all = "kebab-case")]
pub struct RankingConfig {
    /// Passages to be ranked in one request [default: 10]
    #[arg(long, value_name = "COUNT")]
    pub rankings_passages_mean: Option<Number>,
    /// Its standard deviation [default: 0]
    #[arg(long, value_name = "COUNT")]
    pub rankings_passages_stddev: Option<Number>,
    /// Tokens of a passage [default: 128]
    #[arg(long, value_name = "TOKENS")]
    pub rankings_passages_prompt_token_mean: Option<Number>,
    /// Its standard deviation [default: 0]
    #[arg(long, value_name = "TOKENS")]
    pub rankings_passages_prompt_token_stddev: Option<Number>,
    /// Tokens of a query [default: 32]
    #[arg(long, value_name = "TOKENS")]
    pub rankings_query_prompt_token_mean: Option<Number>,
    /// Its standard deviation [default: 0]
    #[arg(long, value_name = "TOKENS")]
    pub rankings_query_prompt_token_stddev: Option<Number>,
}
