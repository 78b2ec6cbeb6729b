/**
 * What src/tweets/text/length.ts and src/tweets/text/urls.ts must know about the world: which names are top-level domains and which sequences are emoji.
 * Plain values only, because the server writes them into the module that the browser loads in place of this one
 * (a pattern as its `source` and `flags`).
 *
 * npm `tlds` (MIT) is the list of the root zone, in Unicode form. `@twemoji/parser` (MIT) recognises the emoji of
 * Unicode 17; it publishes its pattern only as this file. `require`, because one is JSON and the other CommonJS
 * without types.
 */
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)
const delegatedTlds: readonly string[] = require('tlds')
const twemoji: { readonly default: RegExp } = require('@twemoji/parser/dist/lib/regex.js')

/**
 * Names that X's published list has (twitter-text 3.1.0, 2020) and the root zone has not: withdrawn since, reserved,
 * or never delegated. X's published vectors still count them, and a name too many costs at most a few characters.
 */
const unlistedTlds = `
  abarth active adac afamilycompany aigo alfaromeo an avianca bananarepublic bentley bl blanco bnl boots bq
  budapest bugatti cancerresearch cartier caseih cbs ceb chloe chrysler cityeats comcast cookingchannel csc
  dabur dodge doha doosan duck dunlop duns eh epost esurance etisalat everbank fiat flsmidth foodnetwork
  frontdoor fujixerox glade goodhands guardian hgtv honeywell hoteles htc iinet intel iselect iveco iwc jcp
  jlc kerrylogistics kinder ladbrokes lancaster lancia lancome liaison linde lipsy lixil loft lupin macys
  maserati mcd mcdonalds meo metlife mf mobily montblanc mopar movistar mtpc mutual mutuelle nadex nationwide
  natura newholland northwesternmutual off oldnavy onion onyourside orientexpress pamperedchef panerai
  passagens piaget pramerica qvc raid redstone rightathome rmit rocher sapo sca scjohnson scor ses shaw
  showtime shriram spiegel spreadbetting srt starhub statoil swiftcover symantec telecity telefonica tiffany
  tp travelchannel uconnect um vista vistaprint volkswagen vuelos warman xfinity xperia zippo اتصالات موبايلي
  大众汽车 工行 手表 珠宝 诺基亚
`

/** Every top-level domain X may turn into a link, in lower case. IDN names are in Unicode; `xn--` needs no list. */
export const tlds: readonly string[] = [...new Set([...delegatedTlds, ...unlistedTlds.trim().split(/\s+/)])]

/** One emoji sequence, as X draws it. Has the `g` flag: use it with `matchAll`, which keeps no position. */
export const emojiPattern: RegExp = twemoji.default
