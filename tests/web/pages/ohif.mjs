// The first day: sign in, the list, a study opened in OHIF; its series, and under the cursor the values that another
// program read from the same objects. SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { base, check, equal, launch, openPage, report, shot } from './lib.mjs';

const { user, password, study, slices } = JSON.parse(readFileSync(process.env.HILUM_EXPECTED, 'utf8'));
const browser = await launch();
const page = await openPage(browser, { viewport: { width: 1280, height: 800 } }, /401|request failed/); // before the sign-in
const viewport = '() => window.cornerstone.getEnabledElements()[0]?.viewport';

await page.goto(`${base}/ohif/viewer?StudyInstanceUIDs=${study}`);
await page.waitForSelector('[name=user]'); // sent here by the viewer, as nobody is signed in
await page.fill('[name=user]', user);
await page.fill('[name=password]', password);
await page.keyboard.press('Enter');
await page.waitForURL(/\/ohif\/viewer/);
await page.waitForFunction(() => window.services?.displaySetService?.getActiveDisplaySets?.().length === 2);
equal('series', [['Axial 3.0 mm', 64], ['Localizer', 1]],
  (await page.evaluate(() => window.services.displaySetService.getActiveDisplaySets().map(d => [d.SeriesDescription, d.numImageFrames]))).sort());
check('isolated from other sites', await page.evaluate(() => crossOriginIsolated && typeof SharedArrayBuffer === 'function'));
await page.waitForSelector('canvas.cornerstone-canvas');
// A tour, for who is here first: on a busy machine it comes at any time.
await page.addStyleTag({ content: '.shepherd-modal-overlay-container, .shepherd-element { display: none !important }' });
await page.getByText('Axial 3.0 mm').first().dblclick();
await page.waitForFunction(() => {
  const view = window.cornerstone.getEnabledElements()[0]?.viewport;
  return view?.getImageIds?.().length === 64 && view.getImageData?.() !== undefined;
});
await page.evaluate(`(() => {
  const { element } = (${viewport})();
  element.addEventListener('CORNERSTONE_TOOLS_MOUSE_MOVE', event => { window.underCursor = event.detail.currentPoints; });
})()`);

const box = await page.locator('canvas.cornerstone-canvas').boundingBox();
for (const slice of slices) {
  const found = await page.evaluate(async uid => {
    const view = window.cornerstone.getEnabledElements()[0].viewport, at = view.getImageIds().findIndex(id => id.includes(`/${uid}/`));
    await view.setImageIdIndex(at);
    view.render();
    return at;
  }, slice.uid).catch(error => String(error));
  check(`the slice ${slice.uid} is there`, found >= 0, found);
  for (const [x, y] of [[0.5, 0.45], [0.42, 0.5], [0.5, 0.72]]) {
    await page.evaluate('window.underCursor = null');
    await page.mouse.move(box.x + box.width * x - 3, box.y + box.height * y);
    await page.mouse.move(box.x + box.width * x, box.y + box.height * y);
    await page.waitForFunction(() => window.underCursor !== null);
    const [column, row, value] = await page.evaluate(`(() => {
      const view = (${viewport})(), { imageData } = view.getImageData();
      const [i, j] = imageData.worldToIndex(window.underCursor.world).map(Math.round);
      const image = window.cornerstone.cache.getImage(view.getCurrentImageId());
      return [i, j, image.getPixelData()[j * image.columns + i]];
    })()`);
    equal(`value at column ${column}, row ${row} of ${slice.uid}`, slice.pixels[row]?.[column], value);
  }
}
await shot(page, 'ohif-viewer');

await page.goto(`${base}/ohif/`);
await page.getByText('Chest CT, calcium score').first().waitFor().catch(() => undefined);
await shot(page, 'ohif-list');
for (const study of ['Chest CT, calcium score', 'Carotid ultrasound', 'Thorax p.a.'])
  check(`"${study}" is in the viewer's own list`, (await page.getByText(study).count()) > 0);

// ---- somebody in China, standing: from our list into the viewer, in Chinese
const state = await page.context().storageState();
await page.context().close();
const chinese = await openPage(browser, { locale: 'zh-CN', viewport: { width: 900, height: 1200 }, storageState: { ...state, origins: [] } }, /request failed/);
await chinese.goto(base);
await chinese.getByText('王小明').click();
await chinese.waitForSelector('canvas.cornerstone-canvas');
await chinese.getByText('跳过').or(chinese.getByText('Skip all')).first().click({ timeout: 5000 }).catch(() => undefined);
await chinese.waitForFunction(() => window.cornerstone.getEnabledElements()[0]?.viewport.getImageData?.() !== undefined);
equal('the viewer speaks Chinese', 'zh', await chinese.evaluate(() => localStorage.getItem('i18nextLng')));
await shot(chinese, 'ohif-zh-portrait');
await browser.close();
report();
