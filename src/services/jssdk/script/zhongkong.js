// zhongkong.js: gives a page WeChat's JS-SDK, configured, and keeps it so.
//
//   <script src="https://wx.example.com/jssdk/shop/zhongkong.js"></script>
//   <script>zhongkong.share({ title: 'Hello', link: location.href, imgUrl: '/icon.png' });</script>
//
// It asks the service for a configuration of the page's address, loads WeChat's script if it is
// not there, calls wx.config, and does so again where a change of the address needs it. Attributes
// of its element: data-jweixin (another address of WeChat's script), data-timeout (milliseconds that
// WeChat may take), data-debug (WeChat shows every answer). zhongkong.d.ts has the types.
//
// Nothing newer than ES2015 and XMLHttpRequest: web-views of old phones have to read it.
(function () {
  'use strict';
  if (window.zhongkong) return;

  const account = "{{account}}";
  const element = document.currentScript;
  const attributes = (element && element.dataset) || {};
  const service = new URL(
    'config',
    // A module or a bundle has no element; then the service is where the page is.
    element && element.src ? element.src : location.origin + '/jssdk/' + encodeURIComponent(account) + '/'
  ).href;
  // WeChat's second address is for when its first is not to be had.
  const sdk = attributes.jweixin
    ? [attributes.jweixin]
    : ['https://res.wx.qq.com/open/js/jweixin-1.6.0.js', 'https://res2.wx.qq.com/open/js/jweixin-1.6.0.js'];
  const patience = Number(attributes.timeout) || 15000;
  // How long a client that has answered may take to say what it can do.
  const PROBE = 2000;
  const agent = navigator.userAgent;
  const inWeChat = /micromessenger/i.test(agent);

  const cut = (address) => address.split('#')[0];

  // ---- Which address is signed ----
  //
  // Android's client compares with the current address; an iPhone's with the one at which the page
  // was loaded, whatever the history says since. Others are taken for Android's; where the first
  // guess is refused, the second is tried.
  const landing = (() => {
    const loaded = performance.getEntriesByType && performance.getEntriesByType('navigation')[0];
    // The entry outlives a pushState from before this script; old browsers call it "document".
    const known = loaded && String(loaded.name).indexOf(location.origin + '/') === 0;
    return cut(known ? loaded.name : location.href);
  })();
  const byLanding = /iphone|ipad|ipod/i.test(agent);
  const first = () => (byLanding ? landing : cut(location.href));
  const second = () => (byLanding ? cut(location.href) : landing);

  // ---- What goes wrong, for whoever reads the console ----

  function trouble(code, message, more) {
    return Object.assign(new Error('zhongkong (' + account + '): ' + message), { name: 'ZhongkongError', code }, more);
  }

  function refused(errMsg, url) {
    const more = { errMsg, url };
    const where = 'Signed was ' + url + '; the page is at ' + location.href + '.';
    if (/invalid signature/i.test(errMsg)) {
      return trouble('invalid_signature', errMsg + '. ' + where + ' Check that both are the same up to the #, that '
        + 'the appid is the one whose page this is, and that no proxy or script changes the address after it was '
        + 'loaded. `zhongkong jssdk check URL` says which mistake fits.', more);
    }
    if (/invalid url domain/i.test(errMsg)) {
      return trouble('invalid_url_domain', errMsg + '. ' + where + ' Add ' + location.hostname
        + ' to the JS interface domains (JS接口安全域名) of the account in WeChat\'s console.', more);
    }
    return trouble('config', errMsg + '. ' + where, more);
  }

  function failed(name, errMsg) {
    const more = { errMsg, api: name };
    if (/permission|offline verifying/i.test(errMsg)) {
      return trouble('permission_denied', errMsg + '. Add ' + name + ' to apis of this account\'s [[jssdk.account]], '
        + 'and see in WeChat\'s console whether the account has a right to it.', more);
    }
    if (/function.not.exist/i.test(errMsg)) {
      return trouble('unsupported', errMsg + '. This version of WeChat does not know it.', more);
    }
    return trouble(/cancel/i.test(errMsg) ? 'cancel' : 'failed', errMsg, more);
  }

  // ---- The service, and WeChat's script ----

  function ask(url) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      const lost = () => reject(trouble('service', 'no configuration from ' + service + '. It cannot be reached, or '
        + location.origin + ' is missing in origins of this account\'s [[jssdk.account]].', { url }));
      request.open('GET', service + '?url=' + encodeURIComponent(url));
      request.timeout = patience;
      request.onerror = lost;
      request.ontimeout = lost;
      request.onload = () => {
        let answer = {};
        try {
          answer = JSON.parse(request.responseText);
        } catch (_) {
          // A proxy's page: its status is all that can be told.
        }
        if (request.status === 200 && answer.signature) return resolve(answer);
        const why = answer.error || 'the service answered with status ' + request.status;
        const which = answer.request ? ' (request ' + answer.request + ')' : '';
        reject(trouble('service', why + which, { url, status: request.status, reason: answer.reason }));
      };
      request.send();
    });
  }

  const present = () => [window.jWeixin, window.wx].find((found) => found && typeof found.config === 'function');
  let loading = null;

  function load(at) {
    return new Promise((resolve, reject) => {
      const script = document.createElement('script');
      script.src = sdk[at];
      script.onload = () => (present() ? resolve(present()) : reject());
      script.onerror = reject;
      document.head.appendChild(script);
    }).catch(() => {
      if (at + 1 < sdk.length) return load(at + 1);
      loading = null;
      throw trouble('sdk', 'WeChat\'s script cannot be loaded from ' + sdk.join(' or ') + '.');
    });
  }

  function library() {
    if (present()) return Promise.resolve(present());
    loading = loading || load(0);
    return loading;
  }

  // ---- wx.config ----

  // What the client said it can do.
  let can = {};

  // WeChat's script keeps one error function, runs ready functions after failures too, and after
  // its first answer runs them at once. The client takes one call at a time, so that it has judged
  // the configuration when it answers the next call.
  function configure(wx, config) {
    return new Promise((resolve, reject) => {
      let armed = false;
      let settled = false;
      const settle = (end, value) => {
        clearTimeout(timer);
        settled = true;
        end(value);
      };
      const onError = (answer) => {
        // What is told before wx.config is about an earlier one.
        if (!armed) return;
        const error = refused(String((answer && answer.errMsg) || answer), config.url);
        if (settled) emit('error', error);
        else settle(reject, error);
      };
      const where = inWeChat ? '' : ' This browser is not WeChat, and its script does nothing elsewhere.';
      const silent = () => settle(reject, trouble('timeout', 'wx.config got no answer.' + where, { url: config.url }));
      let timer = setTimeout(silent, patience);
      wx.error(onError);
      armed = true;
      wx.config(Object.assign({ debug: 'debug' in attributes }, config));
      wx.ready(() => {
        // A script that had failed before us keeps our function only now.
        if (!settled) wx.error(onError);
        if (settled) return;
        const good = (answer) => {
          if (settled) return;
          can = (answer && answer.checkResult) || {};
          if (typeof can === 'string') can = JSON.parse(can);
          settle(resolve, config);
        };
        clearTimeout(timer);
        timer = setTimeout(good, Math.min(PROBE, patience));
        if (typeof wx.checkJsApi === 'function') wx.checkJsApi({ jsApiList: config.jsApiList, complete: good });
        else good();
      });
    });
  }

  function attempt(url) {
    return Promise.all([library(), ask(url)]).then((both) => configure(both[0], both[1]));
  }

  // ---- One configuration at a time, of the address that is wanted last ----

  let current = null;
  let busy = false;
  let again = false;
  // The address that the last configuration was for.
  let signed = '';

  function defer() {
    const made = {};
    made.ready = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
    made.error = new Promise((resolve) => made.ready.catch(resolve));
    return made;
  }

  function want() {
    if (busy) again = true;
    else {
      busy = true;
      current = defer();
      // A router changes the address several times in a row: the last one counts.
      setTimeout(work);
    }
    return current.ready;
  }

  function work() {
    again = false;
    const url = first();
    const stale = () => again || first() !== url;
    attempt(url)
      .catch((error) => {
        // The ticket may have been replaced meanwhile, or the client has the other address in mind.
        if (error.code !== 'invalid_signature' || stale()) throw error;
        return attempt(second());
      })
      .then((config) => () => {
        current.resolve(config);
        emit('ready', config);
      }, (error) => () => {
        console.error(error.message);
        current.reject(error);
        emit('error', error);
      })
      .then((settle) => {
        if (stale()) return work();
        busy = false;
        signed = url;
        settle();
      });
  }

  function moved() {
    if (!busy && first() !== signed) want();
  }

  for (const name of ['pushState', 'replaceState']) {
    const original = history[name];
    history[name] = function () {
      const done = original.apply(this, arguments);
      moved();
      return done;
    };
  }
  window.addEventListener('popstate', moved);

  // ---- What pages use ----

  const listeners = { ready: [], error: [] };

  function emit(event, value) {
    for (const listener of listeners[event].slice()) {
      // A page's mistake is the page's.
      try {
        listener(value);
      } catch (error) {
        setTimeout(() => { throw error; });
      }
    }
  }

  function call(name, params) {
    return current.ready.then(library).then((wx) => new Promise((resolve, reject) => {
      if (typeof wx[name] !== 'function') {
        return reject(failed(name, name + ':function not exist'));
      }
      const bad = (answer) => reject(failed(name, String((answer && answer.errMsg) || name + ':fail')));
      wx[name](Object.assign({}, params, { success: resolve, fail: bad, cancel: bad }));
    }));
  }

  // The old names only take note, and answer when the user shares.
  function note(name, data) {
    return current.ready.then((config) => library().then((wx) => {
      if (typeof wx[name] !== 'function') throw failed(name, name + ':function not exist');
      if (config.jsApiList.indexOf(name) < 0) throw failed(name, name + ':permission denied');
      wx[name](data);
    }));
  }

  function tell(name, old, data) {
    const fallback = () => note(old, data).then(() => old);
    return current.ready.then((config) => {
      const listed = (one) => config.jsApiList.indexOf(one) >= 0;
      if (can[name] === false || (listed(old) && !listed(name))) return fallback();
      return call(name, data).then(() => name, (error) => {
        if (error.code === 'unsupported') return fallback();
        throw error;
      });
    });
  }

  function share(card) {
    const whole = (given) => ({
      title: given.title === undefined ? document.title : String(given.title),
      desc: given.desc === undefined ? '' : String(given.desc),
      // WeChat takes links of the page's own domain, with the whole address.
      link: new URL(given.link || cut(location.href), location.href).href,
      imgUrl: given.imgUrl ? new URL(given.imgUrl, location.href).href : '',
    });
    const moments = whole(Object.assign({}, card, card.timeline));
    delete moments.desc;
    return Promise.all([
      tell('updateAppMessageShareData', 'onMenuShareAppMessage', whole(card)),
      tell('updateTimelineShareData', 'onMenuShareTimeline', moments),
    ]).then((used) => ({ appMessage: used[0], timeline: used[1] }));
  }

  window.zhongkong = {
    get ready() { return current.ready; },
    get error() { return current.error; },
    account,
    share,
    call,
    refresh: want,
    on(event, listener) {
      if (!listeners[event]) throw new TypeError('zhongkong.on knows ready and error, not ' + event);
      listeners[event].push(listener);
      return () => {
        listeners[event] = listeners[event].filter((known) => known !== listener);
      };
    },
  };

  want();
})();
