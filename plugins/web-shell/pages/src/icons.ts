// Icons as paths on a 24 x 24 grid, drawn with the colour of the text around them.
import { svg } from './dom';

const paths = {
  search: ['M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14Z', 'm20 20-4-4'],
  upload: ['M12 16V4', 'm7 9 5-5 5 5', 'M4 16v3a1 1 0 0 0 1 1h14a1 1 0 0 0 1-1v-3'],
  folder: ['M3 7a2 2 0 0 1 2-2h4l2 2h8a2 2 0 0 1 2 2v8a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2Z'],
  close: ['M6 6l12 12', 'M18 6 6 18'],
  open: ['M8 5v14l11-7Z'],
  why: ['M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18Z', 'M9.5 9.5a2.5 2.5 0 1 1 3.5 2.3c-.7.3-1 .8-1 1.6v.3', 'M12 17h.01'],
  user: ['M12 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8Z', 'M4 20c1-4 4-5 8-5s7 1 8 5'],
  exit: ['M14 4h4a1 1 0 0 1 1 1v14a1 1 0 0 1-1 1h-4', 'M10 16l-4-4 4-4', 'M6 12h9'],
  globe: ['M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18Z', 'M3 12h18', 'M12 3c3 3 3 15 0 18', 'M12 3c-3 3-3 15 0 18'],
  contrast: ['M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18Z', 'M12 3v18', 'M12 8l6-2', 'M12 12h9', 'M12 16l6 2'],
  alert: ['M12 4 2.8 19.5h18.4Z', 'M12 10v4', 'M12 17h.01'],
  done: ['m5 12 5 5 9-10'],
  keyboard: ['M3 7h18v10H3Z', 'M7 10.5h.01', 'M11 10.5h.01', 'M15 10.5h.01', 'M8 14h8'],
  empty: ['M4 13l2-8h12l2 8', 'M4 13v6h16v-6h-5l-1 2h-4l-1-2Z'],
  sort: ['M8 5v14', 'm4 15 4 4 4-4', 'M16 19V5', 'm12 9 4-4 4 4'],
} as const;

export type Icon = keyof typeof paths;

export function icon(name: Icon): SVGElement {
  return svg('svg', { class: 'icon', viewBox: '0 0 24 24', 'aria-hidden': 'true', focusable: 'false' },
    ...paths[name].map(d => svg('path', { d })));
}

export function mark(): SVGElement {
  return svg('svg', { class: 'mark', viewBox: '0 0 32 32', 'aria-hidden': 'true', focusable: 'false' },
    ...['M16 4v8', 'M16 12c0 3.5-3 5-9 5.5', 'M16 12c0 3.5 3 5 9 5.5', 'M12.6 16.6c-.4 4-1.6 7.4-4.6 10.4', 'M19.4 16.6c.4 4 1.6 7.4 4.6 10.4']
      .map(d => svg('path', { d })));
}
