//! People of the OAuth service: who is one person, what is told, what is deleted.

use crate::oauth_support::{Stores, appid, openid, profile, seen};

#[tokio::test]
async fn openids_become_one_person_when_their_unionid_becomes_known() {
    let stores = Stores::sqlite().await;
    let users = &stores.users;
    let shop = users.seen(&seen("wx1", "o1", None)).await.unwrap();
    let club = users.seen(&seen("wx2", "o2", Some("u1"))).await.unwrap();
    assert_ne!(shop.person, club.person);
    // Later the shop's login asks for the profile, and WeChat tells the unionid with it.
    let told = zhongkong::services::oauth::users::Seen {
        profile: Some(profile("\u{661f}")),
        ..seen("wx1", "o1", Some("u1"))
    };
    let joined = users.seen(&told).await.unwrap();
    assert_eq!(joined.person, club.person);
    assert_eq!(joined.epoch, shop.epoch, "its sessions go on");
    assert_eq!(joined.profile, Some(profile("\u{661f}")));
    // A silent login takes neither away.
    let again = users.seen(&seen("wx1", "o1", None)).await.unwrap();
    assert_eq!((again.person, again.profile), (joined.person, joined.profile));
    assert_eq!(users.delete_person(&appid("wx2"), &openid("o2")).await.unwrap(), 2);
    assert_eq!(users.find(&appid("wx1"), &openid("o1")).await.unwrap(), None);
    let new = users.seen(&seen("wx1", "o1", None)).await.unwrap();
    assert_ne!(new.epoch, shop.epoch, "sessions from before the deletion stay dead");
}
