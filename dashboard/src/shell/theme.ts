/** Colours, type and the defaults of components: one accent, three signals, quiet surfaces, light and dark. */

import type { CSSVariablesResolver, MantineColorsTuple } from '@mantine/core'
import { createTheme } from '@mantine/core'

const thread: MantineColorsTuple = [
  '#eef0ff',
  '#dde1fc',
  '#b9c0f5',
  '#929df0',
  '#727eea',
  '#5d6be7',
  '#4b57de',
  '#3d48c4',
  '#353fae',
  '#2a3394',
]
const dark: MantineColorsTuple = [
  '#dfe3ea',
  '#b3bbc8',
  '#8a94a5',
  '#667084',
  '#333c4a',
  '#283040',
  '#1c222d',
  '#141920',
  '#0f1318',
  '#0b0e12',
]

export const theme = createTheme({
  primaryColor: 'thread',
  primaryShade: { light: 6, dark: 5 },
  colors: { thread, dark },
  fontFamily: 'Inter, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", sans-serif',
  fontFamilyMonospace: 'ui-monospace, SFMono-Regular, "JetBrains Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace',
  defaultRadius: 'md',
  cursorType: 'pointer',
  headings: { fontWeight: '650', sizes: { h1: { fontSize: '1.35rem', lineHeight: '1.3' }, h2: { fontSize: '1rem', lineHeight: '1.4' } } },
  components: {
    Tooltip: { defaultProps: { openDelay: 250, withArrow: true, events: { hover: true, focus: true, touch: true } } },
    Badge: { defaultProps: { radius: 'sm', tt: 'none', fw: 550 } },
    Modal: { defaultProps: { overlayProps: { backgroundOpacity: 0.45, blur: 2 }, radius: 'lg', transitionProps: { duration: 120 } } },
  },
})

/** --ok, --warn, --bad carry meaning; --panel, --line, --faint are surfaces. */
export const cssVariables: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    '--mantine-color-body': '#f6f7f9',
    '--panel': '#ffffff',
    '--panel-raised': '#ffffff',
    '--line': '#e3e6eb',
    '--faint': '#f0f2f5',
    '--ink': '#171c26',
    '--ink-soft': '#5b6576',
    '--ok': '#0d8a63',
    '--warn': '#b36b00',
    '--bad': '#d1343f',
    '--ok-faint': '#e2f5ee',
    '--warn-faint': '#fdf1dd',
    '--bad-faint': '#fdeaeb',
    '--accent': '#4b57de',
    '--shadow': '0 1px 2px rgb(20 28 46 / 6%), 0 6px 18px rgb(20 28 46 / 7%)',
  },
  dark: {
    '--mantine-color-body': '#0f1318',
    '--panel': '#161b23',
    '--panel-raised': '#1b212b',
    '--line': '#283040',
    '--faint': '#1c222d',
    '--ink': '#e6e9ef',
    '--ink-soft': '#95a0b2',
    '--ok': '#35c795',
    '--warn': '#f0ad3d',
    '--bad': '#ff6b72',
    '--ok-faint': '#12312a',
    '--warn-faint': '#372a13',
    '--bad-faint': '#3b1b22',
    '--accent': '#8b96f5',
    '--shadow': '0 1px 2px rgb(0 0 0 / 35%), 0 8px 24px rgb(0 0 0 / 30%)',
  },
})
