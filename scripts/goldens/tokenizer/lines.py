"""Mixed text to try a tokenizer on: the same lines for the same seed, vocabulary and chatterbot-corpus."""

import glob
import os
import random

import chatterbot_corpus
import yaml

CODE = '''func (s *$) next(text string, i int) (int, error) {
	for $ := range $ { if $[i] >= 0x% { return %, fmt.Errorf("bad %d: %w", $, err) } }
	defer $.mu.Unlock(); $ <- struct{}{} // $ is done
def $(self, $: int = %, *args, **kwargs) -> dict[str, float]:
    return {k: v for k, v in self.$.items() if v is not None and k != "$"}  # TODO($)
    @property
        raise ValueError(f"expected {$!r}, got {len($):,d}")
if __name__ == '__main__': sys.exit(main(sys.argv[1:]))
#include <$.h>
static inline uint32_t $(const char *$, size_t $) { return (($ << 5) ^ $) & 0xFFFFFFFFu; }
template <typename T, int N> struct $ { T $[N] = {%, %.%f, -%e-%}; };
    device const half* $ [[buffer(%)]], uint3 tid [[thread_position_in_grid]]
const $ = async ({ $, ...rest }) => (await fetch(`/api/v%/${$}?q=${encodeURIComponent($)}`)).json();
<div class="$-$" id='$%'><a href="https://www.example.com/$/%?x=%&y=$#$">$ &nbsp;&gt; $</a></div>
.$ > li:nth-child(%n+%)::after { content: "\\2014"; margin: 0 -%px calc(100% - %rem); }
SELECT COUNT(*), t1.$ FROM $ t1 LEFT JOIN $ AS t2 ON t1.id=t2.$_id WHERE $ LIKE '%$%' ORDER BY % DESC;
{"$": [%, %.%, null, true], "$": {"$": "\\u4f60\\n", "%": []}}
|  $  |  % ms  |   ✓   |  `$` |
$$\\sum_{i=0}^{n-1} \\frac{\\partial $}{\\partial x_{%}} \\leq \\alpha^{%} \\cdot \\text{$}$$
for f in *.txt; do sed -E 's/^\\s+$//;s/([a-z]+)_%/\\1/g' "$f" | awk '{print $%}' >> $.log 2>&1; done
impl<'a, T: Iterator<Item = &'a $>> $ for $<T> { fn $(&mut self) -> Option<Self::Item> { self.0.next()? } }
====================================%==================================== $
/* ---------- $ ---------- */
\t\t\t\t}\n\t\t\t}\n\t\t}\n\t}\n}\n
    \\begin{align*}\n      $ &= %^2 \\\\\n    \\end{align*}\n'''.split("\n")

WORDS = """tokenizer get_value HTTPServer i x1 camelCaseName SCREAMING_SNAKE __init__ utf8 naïve Größe résumé переменная 变量 データ
vocabulary merge kernel attention rotary_embedding self.weight q_proj KVCache logits softmax temperature 温度 模型 北京大学
antidisestablishmentarianism pneumonoultramicroscopic Donaudampfschifffahrt supercalifragilistic""".split()

CONTRACTIONS = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'T", "'RE", "'Ve", "'vE", "'M", "'LL", "'lL", "'D", "'ſ", "’s", "’ll",
                "'", "''", "'r", "'l", "'v", "'rest", "'llama", "'dog", "'ß", "'K", " 's", "'9", "' s", "'\u0301s"]

EMOJI = ["😀", "👍🏽", "👨‍👩‍👧‍👦", "🏳️‍🌈", "🇨🇳", "🇺🇳🇫🇷", "👩🏿‍💻", "❤️", "❤", "☺️", "1️⃣", "🧑‍🚀", "🫠", "🪿", "™️", "‍", "️", "🏴󠁧󠁢󠁥󠁮󠁧󠁿"]

SPACES = [" ", "\u00a0", "\u3000", "\u2028", "\u2029", "\u0085", "\u1680", "\u2002", "\u2003", "\u2009", "\u200a", "\u202f", "\u205f", "\t", "\v", "\f",
          "\u200b", "\ufeff", "\u180e", "\u2060", "\x1c", "\x1f", "\x00"]

DIGITS = ["0123456789", "٠١٢٣٤٥٦٧٨٩", "۰۱۲۳", "०१२३४५", "০১২৩", "๐๑๒๓๔", "０１２３４５", "ⅠⅡⅢⅣⅫ", "½¼¾", "①②③⑩", "²³¹", "〇一二三", "𝟎𝟏𝟐𝟗", "𐒠𐒡", "🯰🯱", "ⅽ", "፩፪", "㊿", "৴৵"]

LETTERS = ["é", "e\u0301", "n\u0303", "a\u0323\u0302", "Å", "\u212b", "\u1e9b\u0323", "한국", "\u1112\u1161\u11ab", "ﬁ", "ǆ", "İ", "ı", "ß", "ẞ", "ſ", "ª", "º", "ʼ",
           "\u0345", "\u0958", "ा", "क्षि", "ஸ்ரீ", "กำ", "שָׁלוֹם", "مَرْحَبًا", "\u2126", "豈", "\ufa0e", "𠮷", "𬺰", "\U0002ebf0", "\U00031350", "ꟊ", "\u1c89"]

MARKS = list("!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~") + list("。，！？、；：“”‘’（）《》【】…—～·¥€£§©°±×÷→⇒∀∑√∞≈≠■★♪") + ["...", "!!!", "?!", "->", "=>", "//", "/*", "*/", "::", "&&", "||", "<<=", "----", "***", "\u0301", "\u20dd"]


def corpus():
    """Sentences of chatterbot-corpus, by language."""
    data = os.path.join(os.path.dirname(chatterbot_corpus.__file__), "data")
    sentences = {}
    for path in sorted(glob.glob(data + "/*/*.yml")):
        with open(path, encoding="utf-8") as f:
            for turns in yaml.safe_load(f).get("conversations") or []:
                sentences.setdefault(path.split("/")[-2], []).extend(str(t) for t in turns)
    return sentences


def make(count, seed, tokens, specials):
    """Returns count lines. tokens are texts of a vocabulary's tokens, specials those of its added ones."""
    r = random.Random(seed)
    sentences = corpus()
    languages = ["english"] * 10 + ["chinese"] * 12 + sorted(sentences)

    def some(values, low, high):
        return "".join(r.choice(values) for _ in range(r.randint(low, high)))

    def sentence():
        return r.choice(sentences[r.choice(languages)])

    def word():
        return r.choice(WORDS) if r.random() < 0.5 else r.choice(sentence().split() or ["x"])

    def number():
        return some(r.choice(DIGITS), 1, 8) if r.random() < 0.3 else str(r.randrange(10 ** r.randint(1, 12)))

    def code():
        line = r.choice(CODE)
        for _ in range(12):
            line = line.replace("$", r.choice(WORDS), 1).replace("%", number(), 1)
        return "    " * r.randint(0, 4) + line

    def character():
        while True:
            c = r.randrange(r.choice([0x80, 0x250, 0x3000, 0x10000, 0x20000, 0x110000]))
            if not 0xD800 <= c < 0xE000:
                return chr(c)

    def newlines():
        return some(["\n", "\r\n", "\r", "\n\n", " \n", "\t\n ", "\u2028\n", "  "], 1, 6)

    def run():
        unit = r.choice([" ", "\n", "\t", "a", "ab", "=", "-", "哈", "哈哈呵", "\r\n", "0", "😀", "é", "\u00a0", " \n", "的", "x ", ". "])
        return unit * r.choice([2, 3, 7, 16, 33, 97, 130, 300])

    def contraction():
        return r.choice(["I", "you", "WE", "Dog", "it", "他", "x_", "9", "", " "]) + r.choice(CONTRACTIONS)

    makers = [
        (sentence, 26), (code, 14), (lambda: some(tokens, 1, 14), 12), (lambda: "".join(character() for _ in range(r.randint(1, 12))), 7),
        (lambda: some(EMOJI, 1, 5), 4), (lambda: some(SPACES, 1, 6), 8), (number, 6), (contraction, 6), (newlines, 5), (run, 3),
        (lambda: r.choice(LETTERS), 5), (lambda: some(MARKS, 1, 4), 6), (word, 10), (lambda: r.choice(specials), 2),
    ]
    weights = [w for _, w in makers]
    lines = ["", " ", "\n", "'", "a"]
    while len(lines) < count:
        if r.random() < 0.45:
            lines.append(r.choices(makers, weights)[0][0]())
        else:
            glue = r.choice(["", "", " ", " ", "  ", "\n"])
            lines.append(glue.join(r.choices(makers, weights)[0][0]() for _ in range(r.randint(2, 5))))
    return lines
