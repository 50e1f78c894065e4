// What a page in TypeScript writes, and what the types keep it from writing.

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
// The same names are asked of the script itself, in a browser.
const names: Same<keyof Zhongkong.Api, 'account' | 'ready' | 'error' | 'share' | 'call' | 'refresh' | 'on'> = true;

async function page(): Promise<string> {
  const { url, jsApiList }: Zhongkong.Configuration = await zhongkong.ready;
  const { appMessage } = await zhongkong.share({ title: 't', imgUrl: '/i.png', timeline: { title: 'u' } });
  const scanned = await window.zhongkong.call<Zhongkong.Answer & { resultStr: string }>('scanQRCode', { needResult: 1 });
  const stop: () => void = zhongkong.on('error', (error) => console.error(error.code, error.url, error.message));
  stop();
  zhongkong.error.then(({ errMsg }) => errMsg?.length);
  await zhongkong.refresh();
  return [url, ...jsApiList, appMessage, scanned.resultStr].join();
}

async function mistakes(): Promise<void> {
  // @ts-expect-error: it is imgUrl.
  await zhongkong.share({ title: 't', imgurl: '/i.png' });
  // @ts-expect-error: Moments show no description.
  await zhongkong.share({ timeline: { desc: 'd' } });
  // @ts-expect-error: there are ready and error.
  zhongkong.on('fail', () => {});
  // @ts-expect-error: it is a promise, and no function.
  zhongkong.ready(() => {});
  // @ts-expect-error: it answers by a promise.
  zhongkong.call('scanQRCode', { needResult: 1 }, () => {});
  // @ts-expect-error: the script's state is its own.
  zhongkong.account = 'other';
}

void [names, page, mistakes];
