// The table of studies: a row a study, its patient's name a link into the viewer.
import { ageAt, dateText, timeText, type Study } from '../dicom';
import { h } from '../dom';
import { t } from '../i18n';
import { icon } from '../icons';

export interface RowActions {
  viewer: (study: Study) => string | null; // address; null: no viewer here
  explain: ((study: Study) => void) | null;
}

// Colours by what the pictures are, the same everywhere.
const KIND: Record<string, string> = { CT: 'ct', MR: 'mr', US: 'us', DX: 'xr', CR: 'xr', XA: 'xr', RF: 'xr', MG: 'xr', PT: 'nm', NM: 'nm' };

function modalityBadge(modality: string): HTMLElement {
  return h('span', { class: `badge badge-${KIND[modality] ?? 'other'}` }, modality);
}

function facts(study: Study): string {
  const age = ageAt(study.birth, study.date);
  return [t().sexes[study.sex] ?? '', age === null ? '' : t().years(age)].filter(part => part !== '').join(' · ');
}

// Where nothing makes small pictures, or the roles allow none, the first few tell and no more are asked for.
let hadPicture = false, misses = 0;
const MISSES_MAX = 3;

function picture(study: Study): HTMLElement {
  const frame = h('span', { class: 'thumb', 'aria-hidden': 'true' });
  if (!hadPicture && misses >= MISSES_MAX) return frame;
  const image = h('img', { src: `dicom-web/studies/${encodeURIComponent(study.uid)}/thumbnail`, alt: '', loading: 'lazy', decoding: 'async', width: 40, height: 40 });
  image.addEventListener('load', () => { hadPicture = true; });
  image.addEventListener('error', () => { misses++; image.remove(); });
  frame.append(image);
  return frame;
}

function nameCell(study: Study, actions: RowActions): HTMLElement {
  const name = study.name || t().noName, address = actions.viewer(study);
  const label = h('span', { class: study.name ? 'name' : 'name is-missing' }, name);
  const link = address === null
    ? h('span', { class: 'patient', tabindex: 0 }, label)
    : h('a', { class: 'patient', href: address, title: t().open }, label);
  return h('td', { role: 'cell', class: 'cell-patient' }, h('div', { class: 'who-cell' }, picture(study),
    h('div', {}, link, h('span', { class: 'sub' }, [study.latin, facts(study)].filter(part => part !== '').join('  ·  ')))));
}

function actionsCell(study: Study, actions: RowActions): HTMLElement {
  const name = study.name || t().noName, address = actions.viewer(study), explain = actions.explain;
  return h('td', { role: 'cell', class: 'cell-actions' },
    explain && h('button', { class: 'button is-quiet', type: 'button', title: t().why, 'aria-label': t().whyNamed(name), on: { click: () => explain(study) } }, icon('why')),
    address !== null && h('a', { class: 'button is-quiet', href: address, title: t().open, 'aria-label': t().openNamed(name), tabindex: -1 }, icon('open')));
}

function row(study: Study, actions: RowActions): HTMLTableRowElement {
  const texts = t();
  return h('tr', { role: 'row', 'data-study': study.uid },
    nameCell(study, actions),
    h('td', { role: 'cell', class: 'cell-id code' }, study.id || '–'),
    h('td', { role: 'cell', class: 'cell-date' },
      h('span', { class: 'nowrap' }, dateText(study.date) || texts.unknown), h('span', { class: 'sub nowrap' }, timeText(study.time))),
    h('td', { role: 'cell', class: 'cell-modality' }, ...study.modalities.map(modalityBadge)),
    h('td', { role: 'cell', class: study.description ? 'cell-description' : 'cell-description is-missing' }, study.description || texts.noDescription),
    h('td', { role: 'cell', class: 'cell-accession code' }, study.accession || '–'),
    h('td', { role: 'cell', class: 'cell-images', title: texts.seriesAndImages(study.series, study.images) },
      h('span', {}, study.images), h('span', { class: 'sub' }, `/ ${study.series}`)),
    actionsCell(study, actions));
}

export function table(studies: Study[], actions: RowActions): HTMLTableElement {
  const texts = t();
  const head: [string, string][] = [[texts.patient, 'cell-patient'], [texts.patientId, 'cell-id'], [texts.studyDate, 'cell-date'],
    [texts.modality, 'cell-modality'], [texts.description, 'cell-description'], [texts.accession, 'cell-accession'], [texts.images, 'cell-images']];
  return h('table', { class: 'studies', role: 'table', 'aria-label': texts.studies },
    h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' },
      ...head.map(([label, name]) => h('th', { role: 'columnheader', scope: 'col', class: name }, label)),
      h('th', { role: 'columnheader', scope: 'col', class: 'cell-actions' }, h('span', { class: 'unseen' }, texts.actions)))),
    h('tbody', { role: 'rowgroup' }, ...studies.map(study => row(study, actions))));
}

// Stands where rows will be, so that nothing jumps when they come.
export function skeleton(rows: number): HTMLElement {
  return h('div', { class: 'skeleton', role: 'status', 'aria-label': t().loading },
    ...Array.from({ length: rows }, () => h('div', { class: 'skeleton-row', 'aria-hidden': 'true' },
      ...['wide', 'narrow', 'narrow', 'badge', 'wide'].map(kind => h('span', { class: `bone bone-${kind}` })))));
}
