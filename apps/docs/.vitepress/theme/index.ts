/** VitePress's own theme in our colours, with the playground. */

import '@shikijs/vitepress-twoslash/style.css'
import TwoslashFloatingVue from '@shikijs/vitepress-twoslash/client'
import type { Theme } from 'vitepress'
import DefaultTheme from 'vitepress/theme-without-fonts'
import { defineAsyncComponent, h } from 'vue'
import HeroThoughts from './HeroThoughts.vue'
import './style.css'

const theme: Theme = {
  extends: DefaultTheme,
  Layout: () => h(DefaultTheme.Layout, null, { 'home-hero-image': () => h(HeroThoughts) }),
  enhanceApp({ app }) {
    app.use(TwoslashFloatingVue)
    app.component(
      'Playground',
      defineAsyncComponent(() => import('../../playground/Playground.vue')),
    )
  },
}

export default theme
