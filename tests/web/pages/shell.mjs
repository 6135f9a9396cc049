// The sign-in and the list of studies: what people do there, in both languages, by mouse and keyboard, lying and standing.
// SPDX-License-Identifier: Apache-2.0
import { readFileSync, mkdtempSync, copyFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRequire } from 'node:module';
import { base, check, equal, launch, openPage, report, shot } from './lib.mjs';

const { user, password, files } = JSON.parse(readFileSync(process.env.HILUM_EXPECTED, 'utf8'));
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const browser = await launch();

async function judge(page, where) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'best-practice'] }));
  const bad = violations.filter(v => ['serious', 'critical'].includes(v.impact));
  check(`axe: ${where}`, bad.length === 0, bad.map(v => `${v.id}: ${v.nodes.map(n => n.target.join(' ')).slice(0, 3).join('; ')} ${v.nodes[0].failureSummary.slice(0, 160)}`));
}

const names = page => page.locator('.studies .name').allTextContents();
const until = (page, wanted) => page.waitForFunction(wanted => JSON.stringify([...document.querySelectorAll('.studies .name')].map(e => e.textContent)) === wanted,
  JSON.stringify(wanted)).then(() => true, () => false);

async function signIn(page) {
  await page.fill('[name=user]', user);
  await page.fill('[name=password]', password);
  await page.keyboard.press('Enter');
  await page.waitForSelector('.studies, .state');
}

// ---- English, lying, dark
const page = await openPage(browser, {}, /401|403|ERR_FAILED/);
await page.goto(base);
await page.waitForSelector('.signin');
equal('nobody sees a study before', 0, await page.locator('.studies').count());
equal('the language of the page', 'en', await page.getAttribute('html', 'lang'));
await judge(page, 'sign-in');
await shot(page, 'signin');
await page.fill('[name=user]', user);
await page.fill('[name=password]', 'wrong');
await page.keyboard.press('Enter');
await page.getByText('User name or password is wrong.').waitFor();
await judge(page, 'sign-in refused');
await signIn(page);
check('all studies, newest first', await until(page, ['Müller Jürgen', '山田太郎', '王小明']), await names(page));
await judge(page, 'list');
await shot(page, 'list');

// ---- searching, by everything somebody may hold
async function find(text, wanted) {
  await page.fill('.search-field', text);
  check(`search for "${text}"`, await until(page, wanted), await names(page));
}
await find('wang', ['王小明']);
await find('小明', ['王小明']);
await find('wxm', ['王小明']);
await find('DEMO-0002', ['山田太郎']);
await find('DEMO-A3', ['Müller Jürgen']);
await find('2026-01-06', ['山田太郎']);
await find('zzzz', []);
await page.getByText('Nothing found').waitFor();
await judge(page, 'nothing found');
await shot(page, 'nothing');
await page.getByRole('button', { name: 'Clear search' }).click();
await until(page, ['Müller Jürgen', '山田太郎', '王小明']);
await page.getByRole('button', { name: 'CT', exact: true }).click();
check('by modality', await until(page, ['王小明']), await names(page));
check('kept in the address', page.url().includes('modality=CT'), page.url());
await page.reload();
check('and after a reload', await until(page, ['王小明']), await names(page));
await page.getByRole('button', { name: 'CT', exact: true }).click();
await page.getByRole('button', { name: 'Dates …' }).click();
await page.getByLabel('From', { exact: true }).fill('2026-01-07');
check('by date', await until(page, ['Müller Jürgen']), await names(page));
await page.getByRole('button', { name: 'Any time' }).click();
await until(page, ['Müller Jürgen', '山田太郎', '王小明']);

// ---- the keyboard
await page.locator('body').click({ position: { x: 700, y: 880 } });
await page.keyboard.press('/');
check('"/" goes to the search', await page.evaluate(() => document.activeElement.matches('.search-field')));
await page.keyboard.press('ArrowDown');
await page.keyboard.press('ArrowDown');
equal('down twice', '山田太郎', await page.evaluate(() => document.activeElement.textContent));
check('Enter would open it', (await page.evaluate(() => document.activeElement.href)).startsWith(`${base}/ohif/viewer?StudyInstanceUIDs=`));
await page.keyboard.press('?');
await page.getByRole('dialog', { name: 'Keyboard' }).waitFor();
await judge(page, 'keyboard help');
await shot(page, 'keys');
await page.keyboard.press('Escape');
equal('Escape closes it', 0, await page.locator('dialog[open]').count());

// ---- why
await page.keyboard.press('e');
const drawer = page.getByRole('dialog', { name: 'What happened to this study' });
await drawer.getByText('1 image from HILUM_SELF').waitFor();
check('it is of the study that was chosen', await drawer.getByText('山田太郎').isVisible());
check('who did what is told', await drawer.getByText('Image stored').first().isVisible());
await judge(page, 'explain');
await shot(page, 'explain');
await page.keyboard.press('Escape');
equal('and the keyboard is where it was', '山田太郎', await page.evaluate(() => document.activeElement.textContent));

// ---- upload: a drop with what is no DICOM, and a name that would be a script
const dropped = [files.script, files.text].map(path => [path.split('/').pop(), readFileSync(path).toString('base64')]);
const transfer = await page.evaluateHandle(all => {
  const data = new DataTransfer();
  for (const [name, text] of all) data.items.add(new File([Uint8Array.from(atob(text), c => c.charCodeAt(0))], name));
  return data;
}, dropped);
await page.dispatchEvent('main', 'dragenter', { dataTransfer: transfer });
check('a veil says what a drop does', await page.getByText('Drop DICOM files or folders').isVisible());
await shot(page, 'drop');
await page.dispatchEvent('main', 'drop', { dataTransfer: transfer });
await page.getByText('1 stored, 1 not stored').waitFor();
check('why not', await page.getByText('no DICOM file').isVisible());
await page.locator('.studies .name', { hasText: '<script>hacked()</script>' }).waitFor();
check('no script of a name ran', await page.evaluate(() => document.querySelector('main script, main i, main b, main img:not([src^="dicom-web/"])') === null));
await judge(page, 'with a dock');
await shot(page, 'uploaded');
await page.locator('.dock').getByRole('button', { name: 'Close' }).click();

// ---- upload: a folder, stopped on its way
const folder = mkdtempSync(join(tmpdir(), 'hilum-folder-'));
copyFileSync(files.large, join(folder, 'a.dcm'));
writeFileSync(join(folder, 'notes.txt'), 'nothing');
const devtools = await page.context().newCDPSession(page);
await devtools.send('Network.enable');
const network = uploadThroughput => devtools.send('Network.emulateNetworkConditions', { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput });
await network(20000);
const [chooser] = await Promise.all([page.waitForEvent('filechooser'), page.getByRole('button', { name: 'Choose a folder' }).click()]);
await chooser.setFiles(folder);
await page.getByText('Storing 1 of 1 files').waitFor();
await shot(page, 'uploading');
await page.locator('.dock').getByRole('button', { name: 'Cancel' }).click();
await page.getByText(/^Cancelled/).waitFor();
await network(-1);
await page.locator('.dock').getByRole('button', { name: 'Close' }).click();

// ---- what comes from elsewhere appears by itself; the row somebody is on stays
const stored = path => page.context().request.post(`${base}/dicom-web/studies`, { data: readFileSync(path),
  headers: { 'Content-Type': 'application/dicom', 'X-Hilum-CSRF': csrf } });
const { csrf } = await (await page.context().request.get(`${base}/auth/session`)).json();
const asked = [];
page.on('request', request => request.url().includes('/dicom-web/studies?') && asked.push(request.url()));
await page.locator('.studies .patient').first().focus();
equal('another program stores a study', 200, (await stored(files.other)).status());
await page.waitForTimeout(3000);
equal('nothing moves under who reads', 0, await page.locator('.studies .name', { hasText: 'Elsewhere' }).count());
await page.locator('.search-field').focus();
await page.locator('.studies .name', { hasText: 'Elsewhere' }).waitFor({ timeout: 5000 });
check('a few events are one look', asked.length <= 2, asked);
await shot(page, 'by-itself');

// ---- where the server tells nothing the list asks
const deaf = await openPage(browser, { storageState: await page.context().storageState() }, /404|ERR_FAILED/);
await deaf.clock.install();
await deaf.route('**/api/events', route => route.fulfill({ status: 404 }));
await deaf.goto(base);
await deaf.waitForSelector('.studies');
equal('one more study', 200, (await stored(files.later)).status());
await deaf.clock.runFor(10000);
equal('is not there yet', 0, await deaf.locator('.studies .name', { hasText: 'Later' }).count());
await deaf.clock.runFor(25000);
await deaf.locator('.studies .name', { hasText: 'Later' }).waitFor({ timeout: 5000 });
await deaf.unroute('**/api/events');
const heard = deaf.waitForRequest('**/api/events');
await deaf.clock.runFor(31000);
await heard;
check('and listens as soon as it can', true);
await deaf.context().close();

// ---- light, and the other language
await page.getByRole('button', { name: /dark and light/ }).click();
await judge(page, 'list, light');
await shot(page, 'list-light');
await page.getByRole('button', { name: /dark and light/ }).click();
await page.getByRole('button', { name: 'Switch to Chinese' }).click();
await page.getByText('检查号').first().waitFor();
equal('the page says that it is Chinese', 'zh-CN', await page.getAttribute('html', 'lang'));
equal('nothing English is left', null, (await page.locator('thead, .filters, .tools').allTextContents()).join(' ').replace(/English|doctor/g, '').match(/[a-z]{3,}/));
await page.setViewportSize({ width: 900, height: 1200 });
await judge(page, 'list, Chinese, standing');
await shot(page, 'list-zh-portrait');
await page.setViewportSize({ width: 390, height: 844 });
equal('nothing sticks out of a telephone', 390, await page.evaluate(() => document.documentElement.scrollWidth));
await judge(page, 'list, telephone');
await shot(page, 'list-zh-phone');
await page.setViewportSize({ width: 1440, height: 900 });

// ---- failures
await page.route('**/dicom-web/**', route => route.abort());
await page.fill('.search-field', 'x');
await page.getByText('无法加载检查列表').waitFor();
await judge(page, 'failed');
await shot(page, 'failed-zh');
await page.unroute('**/dicom-web/**');
await page.getByRole('button', { name: '重试' }).click();
await page.waitForSelector('.studies, .state-nothing');
await page.getByRole('button', { name: '退出登录' }).click();
await page.waitForSelector('.signin');
check('the sign-in is Chinese now', await page.getByText('登录 Hilum').isVisible());
await shot(page, 'signin-zh');
equal('signed out for good', 401, await page.evaluate(async () => (await fetch('dicom-web/studies')).status));
await signIn(page);
const state = await page.context().storageState();
await page.context().clearCookies();
await page.fill('.search-field', 'wang');
await page.waitForSelector('.signin');
check('a session that is over leads to the sign-in', true);

// ---- a browser of somebody in China, standing
const chinese = await openPage(browser, { locale: 'zh-CN', viewport: { width: 900, height: 1200 } }, /401/);
await chinese.goto(base);
check('Chinese from the browser', await chinese.getByText('登录 Hilum').isVisible());
await judge(chinese, 'sign-in, Chinese');

// ---- how soon is the list there? Nothing in the cache, 50 ms to the server and back
await chinese.context().close();
let best = Infinity;
for (let i = 0; i < 6 && best > 400; i++) {
  const cold = await openPage(browser, { storageState: state }, /./);
  const session = await cold.context().newCDPSession(cold);
  await session.send('Network.enable');
  await session.send('Network.setCacheDisabled', { cacheDisabled: true });
  await session.send('Network.emulateNetworkConditions', { offline: false, latency: 50, downloadThroughput: -1, uploadThroughput: -1 });
  await cold.addInitScript(() => {
    new MutationObserver((_, observer) => {
      if (!document.querySelector('.studies tbody tr')) return;
      observer.disconnect();
      requestAnimationFrame(() => setTimeout(() => { window.listSeen = performance.now(); }));
    }).observe(document, { childList: true, subtree: true });
  });
  await cold.goto(base);
  await cold.waitForFunction(() => window.listSeen > 0);
  best = Math.min(best, await cold.evaluate(() => window.listSeen));
  await cold.context().close();
}
// A machine with more to do than it can says nothing about the page.
const isBusy = loadavg()[0] > 1.5 * cpus().length;
console.log(`first paint of the list: ${Math.round(best)} ms, the best of a few${isBusy ? '; the machine is busy: not judged' : ''}`);
check('the list is there within 500 ms', best <= 500 || isBusy, Math.round(best));
await browser.close();
report();
