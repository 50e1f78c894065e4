//! What `wx.addCard` and `wx.chooseCard` are given.
//!
//! A signature lets its holder put a card into the own wallet, so cards are signed only where the
//! account lists them. The values go to WeChat as they come; of each there is so much and no more.

use std::borrow::Cow;

use serde::Serialize;

use super::account::{ANY_CARD, Account};
use super::sign::{NoSignature, Signature, Signer};

/// Longest value, in bytes. WeChat's own are shorter.
const LONGEST: usize = 128;

/// Why a card is not signed.
#[derive(Debug, thiserror::Error)]
pub enum CardError {
    /// The account signs no cards.
    #[error("no cards are signed for this account: list them in cards of its [[jssdk.account]]")]
    None,
    /// Not this one.
    #[error("this card is none of the account's: add its id to cards of the [[jssdk.account]]")]
    NotListed,
    /// A parameter that must be there.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A parameter that nobody writes so.
    #[error("{0} is too long or has control characters: it has at most {LONGEST} bytes")]
    Value(&'static str),
    /// A parameter that there is not.
    #[error("this address takes {0}, each at most once")]
    Unknown(&'static str),
    /// There is no ticket.
    #[error(transparent)]
    NoSignature(#[from] NoSignature),
}

/// For `wx.addCard`: one entry of its `cardList`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AddCard<'q> {
    card_id: Cow<'q, str>,
    /// A text with JSON in it, as WeChat takes it.
    card_ext: String,
}

/// The inside of [`AddCard::card_ext`]. WeChat reads the time as a text here.
#[derive(Serialize)]
struct CardExt<'v> {
    code: &'v str,
    openid: &'v str,
    timestamp: String,
    nonce_str: &'v str,
    signature: &'v str,
    #[serde(skip_serializing_if = "str::is_empty")]
    fixed_begintimestamp: &'v str,
    #[serde(skip_serializing_if = "str::is_empty")]
    outer_str: &'v str,
}

/// For `wx.chooseCard`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ChooseCard<'q> {
    shop_id: Cow<'q, str>,
    card_type: Cow<'q, str>,
    card_id: Cow<'q, str>,
    timestamp: i64,
    nonce_str: String,
    sign_type: &'static str,
    card_sign: String,
}

/// Signs for `wx.addCard` what a query asks for.
pub(super) fn add<'q>(account: &Account, signer: &Signer, query: &'q str) -> Result<AddCard<'q>, CardError> {
    const NAMES: [&str; 5] = ["card_id", "code", "openid", "outer_str", "fixed_begintimestamp"];
    open(account)?;
    let [card_id, code, openid, outer_str, fixed_begintimestamp] =
        values(query, NAMES, "card_id, code, openid, outer_str and fixed_begintimestamp")?;
    if card_id.is_empty() {
        return Err(CardError::Missing("card_id"));
    }
    listed(account, &card_id)?;
    let Signature { timestamp, nonce, signature } =
        signer.card(&account.appid, &[&card_id, &code, &openid])?;
    let ext = CardExt {
        code: &code,
        openid: &openid,
        timestamp: timestamp.to_string(),
        nonce_str: &nonce,
        signature: &signature,
        fixed_begintimestamp: &fixed_begintimestamp,
        outer_str: &outer_str,
    };
    // A struct of texts always has a JSON form.
    let card_ext = serde_json::to_string(&ext).unwrap_or_default();
    Ok(AddCard { card_id, card_ext })
}

/// Signs for `wx.chooseCard` what a query asks for.
pub(super) fn choose<'q>(
    account: &Account,
    signer: &Signer,
    query: &'q str,
) -> Result<ChooseCard<'q>, CardError> {
    const NAMES: [&str; 3] = ["card_id", "card_type", "location_id"];
    open(account)?;
    let [card_id, card_type, shop_id] = values(query, NAMES, "card_id, card_type and location_id")?;
    if !card_id.is_empty() {
        listed(account, &card_id)?;
    }
    let values = [account.appid.as_str(), &shop_id, &card_id, &card_type];
    let Signature { timestamp, nonce, signature } = signer.card(&account.appid, &values)?;
    Ok(ChooseCard {
        shop_id,
        card_type,
        card_id,
        timestamp,
        nonce_str: nonce,
        sign_type: "SHA1",
        card_sign: signature,
    })
}

fn open(account: &Account) -> Result<(), CardError> {
    if account.cards.is_empty() { Err(CardError::None) } else { Ok(()) }
}

fn listed(account: &Account, card: &str) -> Result<(), CardError> {
    let listed = account.cards.iter().any(|one| one == ANY_CARD || one == card);
    if listed { Ok(()) } else { Err(CardError::NotListed) }
}

/// The values of these parameters, empty where there is none; `all` is their list in words.
fn values<'q, const N: usize>(
    query: &'q str,
    names: [&'static str; N],
    all: &'static str,
) -> Result<[Cow<'q, str>; N], CardError> {
    let mut found: [Option<Cow<'q, str>>; N] = [const { None }; N];
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let place = names.iter().position(|known| *known == name).ok_or(CardError::Unknown(all))?;
        if found[place].is_some() {
            return Err(CardError::Unknown(all));
        }
        if value.len() > LONGEST || value.chars().any(char::is_control) {
            return Err(CardError::Value(names[place]));
        }
        found[place] = Some(value);
    }
    Ok(found.map(Option::unwrap_or_default))
}
