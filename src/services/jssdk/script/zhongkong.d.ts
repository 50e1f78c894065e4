// Types of zhongkong.js. It is a classic script: include it before yours, and this file in your
// TypeScript project (`/// <reference path="zhongkong.d.ts" />`, or `files` of tsconfig.json).

declare namespace Zhongkong {
  /** What wx.config was given, and the address that was signed. */
  interface Configuration {
    readonly appId: string;
    /** Seconds. */
    readonly timestamp: number;
    readonly nonceStr: string;
    readonly signature: string;
    readonly jsApiList: readonly string[];
    readonly openTagList: readonly string[];
    /** The page's address as it was signed, without its fragment. */
    readonly url: string;
  }

  type Code =
    /** WeChat computes another signature, with a fresh configuration too. */
    | 'invalid_signature'
    /** The page's host is not among the account's JS interface domains. */
    | 'invalid_url_domain'
    /** wx.config was refused for another reason: see errMsg. */
    | 'config'
    /** The service gave no configuration: see status and reason. */
    | 'service'
    /** WeChat's script cannot be loaded. */
    | 'sdk'
    /** wx.config got no answer; outside WeChat it never does. */
    | 'timeout'
    /** The function is not among the account's apis, or the account has no right to it. */
    | 'permission_denied'
    /** This version of WeChat does not know the function. */
    | 'unsupported'
    /** The user thought better of it. */
    | 'cancel'
    /** The function failed: see errMsg. */
    | 'failed';

  /** Why something did not work; the message says what to do. */
  interface ZhongkongError extends Error {
    readonly name: 'ZhongkongError';
    readonly code: Code;
    /** WeChat's own text. */
    readonly errMsg?: string;
    /** The address that was signed. */
    readonly url?: string;
    /** The function that was called. */
    readonly api?: string;
    /** The service's HTTP status. */
    readonly status?: number;
    /** The service's short reason. */
    readonly reason?: string;
  }

  /** What a shared link looks like. */
  interface Card {
    /** The page's title, if left out. */
    title?: string;
    desc?: string;
    /** The page's address, if left out. Its host must be one of the account's. */
    link?: string;
    /** May be relative to the page. */
    imgUrl?: string;
  }

  interface Share extends Card {
    /** What is different in Moments, which shows no desc. */
    timeline?: Omit<Card, 'desc'>;
  }

  /** By which functions of the JS-SDK a card was set: old clients know only the second ones. */
  interface Shared {
    readonly appMessage: 'updateAppMessageShareData' | 'onMenuShareAppMessage';
    readonly timeline: 'updateTimelineShareData' | 'onMenuShareTimeline';
  }

  /** What every function of the JS-SDK answers, besides fields of its own. */
  interface Answer {
    readonly errMsg: string;
    readonly [field: string]: unknown;
  }

  interface Api {
    /** The account in the script's address. */
    readonly account: string;
    /**
     * Resolves when the JS-SDK may be used at the current address, rejects with a ZhongkongError. A
     * new promise after each change of the address that needs a new configuration.
     */
    readonly ready: Promise<Configuration>;
    /** Resolves when `ready` rejects; never rejects. */
    readonly error: Promise<ZhongkongError>;
    /** Sets what friends and Moments see of a shared link. Waits until the JS-SDK is ready. */
    share(card: Share): Promise<Shared>;
    /** Calls a function of the JS-SDK by its name. Waits until it is ready; rejects with a ZhongkongError. */
    call<T extends Answer = Answer>(name: string, params?: Readonly<Record<string, unknown>>): Promise<T>;
    /** Configures once more, e.g. after a failure. */
    refresh(): Promise<Configuration>;
    /** Listens to every configuration, or to every failure; returns what ends it. */
    on(event: 'ready', listener: (configuration: Configuration) => void): () => void;
    on(event: 'error', listener: (error: ZhongkongError) => void): () => void;
  }
}

declare const zhongkong: Zhongkong.Api;

interface Window {
  readonly zhongkong: Zhongkong.Api;
}
