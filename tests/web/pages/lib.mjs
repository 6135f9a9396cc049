// For the tests of pages: a browser, checks, a last line. SPDX-License-Identifier: Apache-2.0
import { chromium } from 'playwright-core';

export const base = process.env.HILUM_URL;
const shots = process.env.HILUM_SHOTS; // a directory: pictures are kept there for people to look at

let passed = 0, failed = 0;

export function check(what, is, found = '') {
  if (is) passed++;
  else {
    failed++;
    console.log(`FAIL ${what}${found === '' ? '' : `: ${typeof found === 'string' ? found : JSON.stringify(found)}`}`);
  }
}

export function equal(what, wanted, found) {
  check(what, JSON.stringify(wanted) === JSON.stringify(found), found);
}

export async function launch() {
  // WebGL in software: there is no screen and no card where tests run.
  return chromium.launch({
    executablePath: process.env.HILUM_CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--use-angle=swiftshader', '--enable-unsafe-swiftshader', '--ignore-gpu-blocklist'],
  });
}

// A page that tells what went wrong in it. `bear`: complaints of the browser that are expected.
export async function openPage(browser, options = {}, bear = /$^/) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, locale: 'en-US', reducedMotion: 'reduce', ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(120000);
  page.on('console', m => { if (m.type() === 'error' && !bear.test(m.text() + m.location().url)) check('nothing on the console', false, `${m.text()} (${m.location().url})`); });
  page.on('pageerror', error => check('no error in a script', false, String(error)));
  return page;
}

export async function shot(page, name) {
  if (shots) await page.screenshot({ path: `${shots}/${name}.png` });
}

export function report() {
  console.log(`${passed} passed, ${failed} failed, 0 skipped`);
  process.exit(failed === 0 && passed > 0 ? 0 : 1);
}
