//! Oauth.
