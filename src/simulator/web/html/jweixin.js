// A stand-in for WeChat's JS-SDK (jweixin-SIMULATED_VERSION.js), for any browser.
//
// WeChat's script hands every call to the client, which asks WeChat; here the simulator is
// asked. What is kept of the original are the habits that pages trip over: `error` holds one
// function, `ready` runs also after a failure, and at once for ever after the first answer; the
// client takes one call at a time; an iPhone judges by the address at which the page was loaded,
// Android by the current one, also for later calls.
(function () {
  'use strict';
  if (window.jWeixin) return;

  const VERSION = 'SIMULATED_VERSION';
  const home = new URL('.', document.currentScript.src).href;
  const agent = navigator.userAgent;
  const ios = /iphone|ipad|ipod/i.test(agent);
  const client = (/micromessenger\/([\d.]+)/i.exec(agent) || [])[1];

  const NAMES = ['updateAppMessageShareData', 'updateTimelineShareData', 'onMenuShareTimeline',
    'onMenuShareAppMessage', 'onMenuShareQQ', 'onMenuShareWeibo', 'onMenuShareQZone', 'startRecord',
    'stopRecord', 'onVoiceRecordEnd', 'playVoice', 'pauseVoice', 'stopVoice', 'onVoicePlayEnd', 'uploadVoice',
    'downloadVoice', 'chooseImage', 'previewImage', 'uploadImage', 'downloadImage', 'getLocalImgData',
    'translateVoice', 'getNetworkType', 'openLocation', 'getLocation', 'hideOptionMenu', 'showOptionMenu',
    'hideMenuItems', 'showMenuItems', 'hideAllNonBaseMenuItem', 'showAllNonBaseMenuItem', 'closeWindow',
    'scanQRCode', 'openAddress', 'chooseWXPay', 'openProductSpecificView', 'addCard', 'chooseCard', 'openCard'];
  // What came with a later script and client.
  const NEWER = ['updateAppMessageShareData', 'updateTimelineShareData'];
  const NEWER_SCRIPT = '1.4.0';
  const NEWER_CLIENT = '6.7.2';
  // What a call brings besides its verdict.
  const BRINGS = {
    chooseImage: { localIds: ['weixin://resourceid/simulated-1'] },
    scanQRCode: { resultStr: 'CODE_128,simulated' },
    getNetworkType: { networkType: 'wifi' },
    getLocation: { latitude: '23.137466', longitude: '113.352425', speed: '0.0', accuracy: '65.0' },
    uploadImage: { serverId: 'simulated-media-1' },
    chooseCard: { cardList: '[{"card_id":"simulated","encrypt_code":"simulated"}]' },
  };

  const cut = (address) => address.split('#')[0];
  const before = (a, b) => {
    const [left, right] = [a, b].map((text) => text.split('.').map(Number));
    const at = right.findIndex((part, index) => (left[index] || 0) !== part);
    return at >= 0 && (left[at] || 0) < right[at];
  };
  const landing = (() => {
    const [loaded] = performance.getEntriesByType('navigation');
    const known = loaded && loaded.name.startsWith(location.origin + '/');
    return cut(known ? loaded.name : location.href);
  })();
  // The address that the client judges by.
  const page = () => (ios ? landing : cut(location.href));
  const tooNew = (name) => NEWER.includes(name) && client !== undefined && before(client, NEWER_CLIENT);

  let state = 0;
  let result = null;
  let onError = null;
  let waiting = [];
  let debug = false;
  let appId = '';
  // What the last good configuration allows, and where.
  let allowed = null;
  let queue = Promise.resolve();

  // A page's mistake is the page's, and does not stop the client.
  const run = (callback, argument) => {
    if (typeof callback !== 'function') return;
    try {
      callback(argument);
    } catch (error) {
      setTimeout(() => { throw error; });
    }
  };
  const ask = (path, body) => fetch(home + path, { method: 'POST', body: JSON.stringify(body) })
    .then((answer) => answer.json());
  const enqueue = (work) => {
    queue = queue.then(work);
  };
  const say = (answer) => {
    if (debug) console.info('wx', answer);
  };

  function config(options) {
    debug = Boolean(options.debug);
    appId = String(options.appId);
    const url = page();
    const wanted = {
      appid: appId,
      timestamp: String(options.timestamp),
      nonceStr: String(options.nonceStr),
      signature: String(options.signature),
      jsApiList: options.jsApiList || [],
      openTagList: options.openTagList || [],
      version: VERSION,
      url,
      href: location.href,
    };
    enqueue(() => ask('config', wanted)
      .catch(() => ({ errMsg: 'config:fail, system error' }))
      .then((answer) => {
        say(answer);
        state = 1;
        result = answer;
        if (answer.errMsg === 'config:ok') {
          const denied = answer.denied || [];
          allowed = { url, names: wanted.jsApiList.filter((name) => !denied.includes(name)), denied };
        } else {
          allowed = null;
          if (onError) run(onError, answer);
          else state = -1;
        }
        const ready = waiting;
        waiting = [];
        ready.forEach((callback) => run(callback));
      }));
  }

  function verdict(name) {
    if (tooNew(name)) return 'function not exist';
    if (name === 'checkJsApi') return 'ok';
    if (!allowed || allowed.url !== page()) return 'the permission value is offline verifying';
    return allowed.names.includes(name) ? 'ok' : 'permission denied';
  }

  // Sharing by the old names is told about when the user shares, which nobody does here.
  const isMenu = (name) => name.startsWith('onMenuShare');

  function call(name, given) {
    const params = given || {};
    const named = Object.entries(params).filter(([, value]) => typeof value !== 'function');
    enqueue(() => {
      const errMsg = name + ':' + verdict(name);
      const told = { appid: appId, name, params: Object.fromEntries(named), errMsg, url: page() };
      return ask('call', told)
        .catch(() => ({ errMsg: name + ':fail, system error' }))
        .then((answer) => {
          const ok = answer.errMsg === name + ':ok';
          if (ok) Object.assign(answer, BRINGS[name]);
          if (ok && name === 'checkJsApi') answer.checkResult = check(params.jsApiList || []);
          if (ok && name === 'addCard') answer.cardList = params.cardList.map((card) => ({ ...card, isSuccess: true }));
          say(answer);
          if (ok && isMenu(name)) return;
          run(ok ? params.success : params.fail, answer);
          run(params.complete, answer);
        });
    });
  }

  function check(names) {
    const has = (name) => name in wx && !tooNew(name) && !(allowed && allowed.denied.includes(name));
    return Object.fromEntries(names.map((name) => [name, has(name)]));
  }

  const wx = {
    config,
    ready(callback) {
      if (state !== 0) run(callback);
      else waiting.push(callback);
    },
    error(callback) {
      if (state === -1) run(callback, result);
      else onError = callback;
    },
    checkJsApi(params) {
      call('checkJsApi', params);
    },
  };
  for (const name of NAMES) {
    if (NEWER.includes(name) && before(VERSION, NEWER_SCRIPT)) continue;
    wx[name] = (params) => call(name, params);
  }
  window.wx = window.jWeixin = wx;
})();
