"""Small templates over every operator, method, filter, test and statement that chat templates use.

Each is rendered by jinja2 (in transformers' environment) and by ocelli; both give the same text, or both an error.
"""

VARIABLES = {
    "s": "Hello, World",
    "empty": "",
    "u": "Straße αΣ 漢字 😀 é",
    "lines": "one\ntwo\r\nthree\n",
    "spaces": "  a b\tc \n",
    "n": 7,
    "neg": -3,
    "f": 2.5,
    "big": 1234567890123,
    "t": True,
    "nil": None,
    "xs": [3, 1, 2],
    "words": ["banana", "Apple", "cherry", "apple"],
    "nested": [[1, 2], [3, [4, 5]]],
    "d": {"b": 2, "a": 1, "C": 3, "items": "shadow"},
    "users": [
        {"name": "Ann", "age": 30, "city": "Rome", "tags": ["x"]},
        {"name": "bob", "age": 25, "city": "Oslo", "tags": []},
        {"name": "Cid", "age": 30, "city": "oslo", "tags": ["y", "z"]},
        {"name": "Dee", "city": "Rome"},
    ],
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What's this?"}]},
        {"role": "assistant", "content": "A <b>cat</b> & \"dog\""},
    ],
    "tool": {
        "type": "function",
        "function": {"name": "f", "parameters": {"x": [1, 2.0, None, True], "é": "\u2028\x7f\x01/"}, "max": 18446744073709551615},
    },
}

_EXPRESSIONS = r"""
1 + 2 * 3 - 4 / 2
7 // 2
-7 // 2
7 // -2
7 % 3
-7 % 3
7 % -3
7.5 % 2
-7.5 % 2
7.5 // 2
-7.5 // 2
1e3 // 7
2 ** 10
2 ** -1
2 ** 3 ** 2
2.0 ** 0.5
2 ** 100
0 ** 0
0 ** -1
(-1) ** 12345678901
1 / 0
1 // 0
1 % 0
1.0 / 0
1 / 3
10 / 5
0.1 + 0.2
1e16
1e15
123456789012345680.0
1e-5
0.0001
1.5e300 * 1e10
1e308 * 10
-0.0
1_000_000
0xff
0b101
0o17
1_0.5_0
1e1_0
00
5 // 2.0
3 - 5
3 - True
True + True
-True
+True
+f
-f
+'a'
-'a'
- n
- n | abs
-1 | abs
n + 'a'
'a' + n
'a' + 'b' 'c'
'a' * 3
3 * 'ab'
'a' * -1
[1] * 2
(1, 2) * 2
[1] + [2]
[1] + (2,)
(1,) + (2,)
'a' ~ 1 ~ none ~ true ~ 1.0 ~ [1, 'x']
1 ~ 2
missing ~ 'x'
missing + 1
missing.x
missing['x']
missing
missing is defined
not missing
missing == missing
missing == none
missing or 'fallback'
missing and 'x'
none or 0
0 or ''
1 and 2
'' and 1
not not 1
not n == 7
1 < 2
1 < 2 < 3
1 < 3 < 2
3 > 2 > 1 >= 1
1 == 1.0
1 == True
'a' < 'b'
'a' < 1
[1, 2] < [1, 3]
[1] < [1, 0]
(1, 2) == (1, 2)
[1] == (1,)
{'a': 1} == {'a': 1.0}
none < 1
1 != 2
'é' > 'z'
'a' in 'abc'
'' in 'abc'
1 in 'abc'
1 in [1, 2]
1.0 in [1, 2]
'a' in {'a': 1}
1 in {'a': 1}
'x' not in 'abc'
not 'x' in 'abc'
[1] in {'a': 1}
1 in none
1 in missing
missing in 'abc'
missing in [1]
'x' in xs
2 in xs
1 in range(3)
1 if true else 2
1 if false else 2
1 if false
(1 if false) is defined
'a' if n > 5 else 'b' if n > 3 else 'c'
1 if n else 2 if n
[1, 'a', none, true, 1.5, (1,), (1, 2), (), {}]
[1, 2,]
(1,)
()
1, 2
{'a': 1, 'b': [1, 2], 3: none}
{'a': 1, 'a': 2}
{[1]: 2}
{(1, 2): 3}
{1: 'a', True: 'b', 1.0: 'c'}
'it\'s'
"it's"
['it\'s', "say \"hi\"", 'both \' and "']
['tab\t', 'nl\n', 'cr\r', '\x00', '\x7f', '\u2028', 'é', '\xa0', '\U0001F600', '\\']
'\n\t\\\'\"\x41\u00e9\101\q'
'a\
b'
"\U0001F600"
s[0]
s[-1]
s[100]
s[1:4]
s[:3]
s[3:]
s[::-1]
s[::2]
s[-3:]
s[:-3]
s[5:2]
s[10:0:-3]
s[::0]
s['a']
s[1.0]
s[none:2]
u[0:4]
u[::-1]
u[-1]
u[7]
xs[0]
xs[-1]
xs[3]
xs[true]
xs[1:]
xs[::-1]
xs['a']
xs.0
xs[0:2][1]
nested[1][1][0]
nested.1.1.0
(1, 2, 3)[1:]
range(10)[2:8:2]
range(10)[3]
range(10)[::-1]
n[0]
n[1:]
missing[1:]
d.a
d['a']
d.zz
d['zz']
d.zz.y
d[0]
d.items
d['items']
d.get('a')
d.get('zz')
d.get('zz', 5)
d.get('zz', default=5)
d.keys()
d.values()
d.items()
d.keys() | list
d.items() | list
d.items()[0]
d.items() | length
d.copy()
d.pop
d.pop('a')
d.update({'x': 1})
d.clear()
d.setdefault('a', 1)
xs.append(1)
xs.append
xs.pop()
xs.sort()
xs.index(1)
xs.index(9)
xs.count(1)
xs.copy()
xs.extend([1])
s.__class__
s._x
xs.__len__
(1, 2, 1).count(1)
(1, 2).index(2)
range(3)
range(1, 4)
range(0, 10, 3)
range(5, 0, -2)
range(3) | list
range(0) | list
range(3) | length
range(3, 1) | list
range(1, 2, 0)
range(100001)
range(100000) | length
range(1.5)
range()
range(10**9)
range(3) == range(0, 3)
range(5).start
dict(a=1, b=2)
dict({'x': 1}, y=2)
dict([('a', 1), ['b', 2]])
dict([1])
dict(1)
namespace(a=1).a
namespace(a=1).b
namespace(a=1)
namespace({'x': 2}).x
namespace(_a=1)
namespace(a=1)['a']
cycler('a', 'b').next()
cycler()
cycler('a', 'b').current
joiner()() ~ joiner(';')()
raise_exception('boom')
raise_exception()
strftime_now('%Y-%m-%d')
strftime_now('%Y') | int > 2000
strftime_now('')
s()
n()
missing()
none()
unknown_function(1)
s.upper()
s.lower()
u.upper()
u.lower()
u.title()
s.title()
"they're bill's o'neil".title()
s.capitalize()
'ÉCOLE des'.capitalize()
u.swapcase()
s.swapcase()
'  x '.strip()
'xxaxx'.strip('x')
'xyaxy'.strip('yx')
'  x '.lstrip() ~ '|'
'  x '.rstrip() ~ '|'
'abcabc'.lstrip('ab')
'abcabc'.rstrip('bc')
'  x '.strip(none)
'x'.strip(1)
'\u3000x\xa0'.strip()
spaces.strip()
spaces.split()
'a,b,,c'.split(',')
'a,b,,c'.split(',', 1)
'a,b,,c'.split(',', maxsplit=2)
'a,b,,c'.split(sep=',')
'a,b'.split('')
' a  b  c '.split(none, 1)
' a  b  c '.rsplit(none, 1)
' a  b  c '.split(maxsplit=0)
''.split()
''.split(',')
'a,b,,c'.rsplit(',', 1)
'a,b,,c'.rsplit(',')
'aXXbXXXc'.rsplit('XX')
'a\nb'.split('\n')[-1]
'<think>x</think>y'.split('</think>')[-1].lstrip('\n')
'<think>x</think>y'.split('</think>')[0].split('<think>')[-1]
lines.splitlines()
lines.splitlines(true)
lines.splitlines(keepends=true)
'a\x0bb\x1cc\x85d\u2028e'.splitlines()
''.splitlines()
'a.b.c'.partition('.')
'abc'.partition('.')
'a.b.c'.rpartition('.')
'abc'.rpartition('.')
'abc'.partition('')
s.startswith('He')
s.startswith(('x', 'He'))
s.startswith([])
s.startswith('ello', 1)
s.startswith('', 50)
s.endswith('ld')
s.endswith(('ld', 'x'))
s.endswith('lo', 0, 5)
s.endswith(1)
s.replace('l', 'L')
s.replace('l', 'L', 1)
s.replace('', '-')
'ab'.replace('', '-', 2)
''.replace('', 'x')
s.replace('zzz', 'y')
s.replace('l')
s.replace(1, 2)
s.find('o')
s.find('o', 5)
s.find('o', -3)
s.find('zz')
s.find('')
s.find('', 12)
s.find('', 13)
s.find('o', 0, 4)
u.find('漢')
u.rfind('é')
s.rfind('o')
s.rfind('')
s.index('o')
s.index('zz')
s.rindex('o')
s.count('l')
s.count('')
s.count('l', 3)
s.count('l', 0, 3)
'aaa'.count('aa')
u.count('')
', '.join(words)
', '.join(xs)
''.join([])
'-'.join('abc')
','.join(d)
'abc'.isdigit()
'123'.isdigit()
'²'.isdigit()
'²'.isdecimal()
'½'.isnumeric()
''.isdigit()
'abc'.isalpha()
'ab1'.isalpha()
'漢é'.isalpha()
'ab1'.isalnum()
'ab_'.isalnum()
' \t'.isspace()
''.isspace()
'ABC'.isupper()
'ABc'.isupper()
'123'.isupper()
'abc1'.islower()
'Hello World'.istitle()
'hello World'.istitle()
'abc'.isascii()
'é'.isascii()
''.isascii()
'a1'.isidentifier()
'1a'.isidentifier()
'a\n'.isprintable()
'abc'.center(8) ~ '|'
'abc'.center(9, '*')
'abcd'.center(9, '*')
'abc'.ljust(6, '.')
'abc'.rjust(6)
'abc'.rjust(6, 'xx')
'42'.zfill(5)
'-42'.zfill(5)
'+4'.zfill(1)
'abc'.removeprefix('a')
'abc'.removesuffix('bc')
'abc'.removeprefix('x')
'ß'.upper()
'ﬁ'.upper()
'ΑΣ'.lower()
'ΑΣΑ Σ'.lower()
'İ'.lower()
'ǆ'.title()
'{} {}'.format(1, 'a')
'{1} {0}'.format(1, 'a')
'{a} {b!r}'.format(a=1, b='x')
'{:>5}|{:<5}|{:^5}'.format('a', 'b', 'c')
'{:05d} {:+d} {:,} {:x} {:#x} {:b}'.format(42, 42, 1234567, 255, 255, 5)
'{:.2f} {:8.3f} {:e} {:g} {:%}'.format(3.14159, 2.5, 12345.678, 0.0001, 0.25)
'{:.3}'.format('abcdef')
'{:.3}'.format(1234.5)
'{:.2}'.format(3.0)
'{:*^9}'.format('mid')
'{0.x} {1[k]} {2[0]}'.format(d, {'k': 5}, [7])
'{{}} {}'.format(1)
'{}'.format()
'{a}'.format(1)
'{0} {}'.format(1, 2)
'{'.format(1)
'}'.format(1)
'{:{w}}|'.format('a', w=4)
'{:d}'.format('a')
'{:s}'.format(1)
'{:.2f}'.format(true)
'{} {} {}'.format(none, [1], {'a': 'b'})
'{:>6}'.format(none)
'{a}'.format_map({'a': 3})
'%s and %s' % (1, 'b')
'%s' % 'x'
'%d%%' % 50
'%05.2f|%-6s|%6s|' % (3.14159, 'ab', 'cd')
'%(a)s %(b)d' % {'a': 1, 'b': 2}
'%x %X %o %#x' % (255, 255, 8, 255)
'%e %g %G' % (12345.678, 1e-10, 1e10)
'%r %s' % ('a', none)
'%c%c' % ('a', 98)
'%s' % (1, 2)
'%s %s' % (1,)
'%d' % 'a'
'%d' % 3.7
'%i' % -3
'% d' % 5
'%+d' % 5
'%.3s' % 'abcdef'
'%5.1f' % 2.25
'%*d' % (5, 3)
'%.3d' % 7
'%' % 1
'%s' % [1, 2]
'abc' % [1]
'abc' % 1
'abc' % missing
'%q' % 1
s | upper
s | lower
s | title
"foo-bar (baz) [qux]_x" | title
s | capitalize
1 | upper
missing | upper
'  x ' | trim
'xxaxx' | trim('x')
none | trim
12 | trim
s | length
xs | length
d | length
missing | length
n | length
none | length
u | length
xs | count
xs | first
[] | first
'abc' | first
d | first
missing | first
n | first
xs | last
[] | last
'abc' | last
d | last
(xs | map('string')) | last
xs | join
xs | join(', ')
xs | join(d='-')
users | join(', ', attribute='name')
users | join(',', 'age')
none | join
'abc' | join('.')
missing | join
xs | join(none)
missing | default
missing | default('x')
missing | d('x')
none | default('x')
none | default('x', true)
'' | default('x', boolean=true)
missing.a | default('x')
d.zz | default('x')
xs | list
'abc' | list
d | list
n | list
missing | list
(1, 2) | list
1 | string ~ 'x'
xs | string
none | string
'42' | int
'42.9' | int
'abc' | int
'abc' | int(5)
'abc' | int(default=none)
' 42 ' | int
'1_000' | int
'1__0' | int
'0x1f' | int(base=16)
'1f' | int(0, 16)
'0b11' | int(0, 0)
'010' | int(0, 0)
'zz' | int(0, 36)
3.99 | int
-3.99 | int
true | int
none | int
missing | int
[] | int
'inf' | int
'nan' | int
1e10 | int
'1e3' | int
'' | int
'+5' | int
'-5' | int
'- 5' | int
'3.5' | float
'abc' | float
'abc' | float(1.5)
3 | float
'inf' | float
'-Infinity' | float
'nan' | float
'1_0.5' | float
'.5' | float
'5.' | float
'1e400' | float
none | float
missing | float
true | float
-5 | abs
-5.5 | abs
'a' | abs
missing | abs
true | abs
2.5 | round
3.5 | round
2.567 | round(2)
2.675 | round(2)
0.15 | round(1)
1234.5 | round(-2)
42 | round
1250 | round(-2)
1350 | round(-2)
-1250 | round(-2)
2.1 | round(0, 'ceil')
2.9 | round(0, 'floor')
2.567 | round(1, 'floor')
2.1 | round(method='ceil')
2.1 | round(0, 'bad')
'a' | round
5 | round(0, 'ceil')
1e300 | round(2)
s | replace('l', 'L')
s | replace('l', 'L', 1)
s | replace(old='l', new='')
1231 | replace(1, 'x')
missing | replace('a', 'b')
s | replace('l')
xs | reverse
xs | reverse | list
'abc' | reverse
u | reverse
d | reverse | list
n | reverse
(xs | map('string')) | reverse
xs | sort
xs | sort(reverse=true)
words | sort
words | sort(case_sensitive=true)
words | sort(true, true)
users | sort(attribute='name') | map(attribute='name') | list
users | sort(attribute='city,name') | map(attribute='name') | list
users | sort(attribute='age')
[1, 'a'] | sort
[[2, 1], [1, 2]] | sort
'hello' | sort
d | sort
missing | sort
n | sort
words | unique | list
words | unique(true) | list
[1, 1.0, true, 2] | unique | list
users | unique(attribute='city') | map(attribute='name') | list
[[1], [1]] | unique | list
'abca' | unique | join
users | map(attribute='name') | list
users | map(attribute='age') | list
users | map(attribute='age', default=0) | list
users | map(attribute='tags.0', default='-') | list
users | map(attribute='tags.0') | list
nested | map(attribute=1) | list
nested | map(attribute='1') | list
words | map('upper') | list
words | map('replace', 'a', 'A') | join(' ')
words | map('nofilter') | list
words | map | list
words | map(1) | list
none | map('upper') | list
[] | map('nofilter') | list
['1', '2'] | map('int') | sum
users | map('length') | list
xs | map('string') | join('+')
xs | select('odd') | list
xs | select('even') | list
xs | select('gt', 1) | list
xs | select('>', 1) | list
xs | select('in', [1, 2]) | list
[0, 1, '', 'a', none, []] | select | list
[0, 1, '', 'a', none, []] | reject | list
xs | reject('odd') | list
xs | select('divisibleby', 3) | list
xs | select('notest') | list
words | select('equalto', 'apple') | list
users | selectattr('age') | map(attribute='name') | list
users | selectattr('age', 'equalto', 30) | map(attribute='name') | list
users | selectattr('age', 'eq', 30) | list | length
users | selectattr('age', 'defined') | list | length
users | selectattr('age', 'undefined') | map(attribute='name') | list
users | rejectattr('age', 'defined') | map(attribute='name') | list
users | rejectattr('age') | map(attribute='name') | list
users | selectattr('tags.0') | map(attribute='name') | list
users | selectattr('name', 'in', ['Ann', 'Cid']) | list | length
users | selectattr | list
messages | selectattr('role', 'equalto', 'system') | map(attribute='content') | first
messages | rejectattr('role', 'equalto', 'system') | list | length
messages | selectattr('role', '==', 'nobody') | list
messages | selectattr('role', '==', 'nobody') | first is defined
messages | map(attribute='role') | unique | join(',')
(xs | select('odd')) is iterable
(xs | select('odd')) | length
(xs | select('odd'))[0]
d | items | list
missing | items | list
xs | items | list
d | dictsort
d | dictsort(true)
d | dictsort(false, 'value')
d | dictsort(by='value', reverse=true)
d | dictsort(by='bad')
xs | dictsort
{1: 'a', 'b': 2} | dictsort
tool | tojson
tool | tojson(indent=2)
tool | tojson(indent=0)
tool | tojson(indent='->')
tool | tojson(true)
tool | tojson(ensure_ascii=true)
tool | tojson(separators=(',', ':'))
tool | tojson(indent=4, separators=(',', ': '))
d | tojson(sort_keys=true)
[] | tojson(indent=2)
{} | tojson(indent=2)
[[], {}, [1]] | tojson(indent=1)
(1, 2) | tojson
{1: 'a', none: 2, true: 3, 1.5: 4} | tojson
{(1, 2): 3} | tojson
missing | tojson
[missing] | tojson
range(3) | tojson
s | tojson
u | tojson
u | tojson(ensure_ascii=true)
'</script>&\'"' | tojson
1.0 | tojson
1e100 | tojson
1e400 | tojson
none | tojson
true | tojson
"line\n\t\r\b\f\x1f" | tojson
(xs | select) | tojson
d.items() | tojson
namespace(a=1) | tojson
'a\nb\n\nc' | indent
'a\nb\n\nc' | indent(2)
'a\nb\n\nc' | indent(2, true)
'a\nb\n\nc' | indent(2, blank=true)
'a\nb\n\nc' | indent('> ')
'a\nb\n' | indent(2)
'' | indent
'' | indent(2, true, true)
n | indent
missing | indent
'<b>' | safe
'<b>&"\'' | escape
'<b>' | e | upper
('<b>' | safe) + '<i>'
'<i>' + ('<b>' | safe)
('<b>' | safe) ~ '<i>'
'<b>' | escape | escape
'<b>' | escape | forceescape
['<b>' | safe]
('<b>' | safe) * 2
('<b>' | safe)[0]
('<b>' | safe) | string is escaped
'x' is escaped
[1, 2, 3, 4, 5] | batch(2) | list
[1, 2, 3, 4, 5] | batch(2, 0) | list
[] | batch(2) | list
[1, 2, 3, 4, 5] | slice(2) | list
[1, 2, 3, 4, 5] | slice(3, 'x') | list
[] | slice(2) | list
xs | sum
[] | sum
[1.5, 2] | sum
['a'] | sum
xs | sum(start=10)
[[1], [2]] | sum(start=[])
users[:3] | sum(attribute='age')
users | sum(attribute='age')
xs | min
xs | max
[] | min
words | min
words | max
words | max(true)
users[:3] | max(attribute='age')
[1, 'a'] | max
'hello' | max
s | wordcount
u | wordcount
'' | wordcount
"it's a_b c-d" | wordcount
'%s-%s' | format(1, 2)
'%(a)s' | format(a=1)
'%s' | format(1, a=2)
'%s' | format
users | groupby('city') | list | length
users | groupby('city') | map(attribute='grouper') | list
users | groupby('city') | map('first') | list
users | groupby('city', case_sensitive=true) | map(attribute='grouper') | list
users | groupby('age', default=0) | map(attribute='list') | map('length') | list
users | groupby('age')
'abc' | center(9) ~ '|'
'hello world foo bar' | truncate(11)
'hello world foo bar' | truncate(11, true)
'hello world foo bar' | truncate(11, false, '…', 0)
'hello' | truncate(3)
'hello world' | truncate(2)
d | attr('a')
d | attr('keys')
namespace(a=1) | attr('a')
missing | attr('a')
s | nofilter
'a' | upper | lower | title
'a' | upper()
'a' | upper(1)
s | trim | length > 3
n is defined
n is not defined
missing is undefined
missing is not defined
nil is none
n is none
nil is not none
s is string
n is string
(s | safe) is string
n is number
t is number
f is number
s is number
n is integer
t is integer
f is integer
f is float
n is float
t is boolean
n is boolean
t is true
1 is true
false is false
0 is false
d is mapping
xs is mapping
namespace() is mapping
xs is iterable
s is iterable
n is iterable
none is iterable
missing is iterable
range(3) is iterable
xs is sequence
s is sequence
d is sequence
n is sequence
d.keys() is sequence
range(3) is sequence
missing is sequence
none is sameas none
true is sameas true
1 is sameas true
xs is sameas xs
[1] is sameas [1]
n is equalto 7
n is eq 7
n is == 7
n is ne 7
n is lt 8
n is gt 8
n is ge 7
n is le 7
n is lessthan 8
n is greaterthan 8
n is in [7]
n is in([7])
n is not in [7]
'a' is in 'abc'
n is odd
n is even
n is not odd
n is divisibleby 7
n is divisibleby(3)
n is divisibleby 0
s is odd
f is odd
missing is odd
'abc' is lower
'ABC' is upper
'Abc' is lower
1 is upper
range is callable
n is callable
missing is callable
'upper' is filter
'nofilter' is filter
'odd' is test
'notest' is test
n is notest
n is defined and n is odd
n is odd or missing
'yes' if n is defined else 'no'
n is defined is defined
1 is divisibleby 1 + 1
not n is odd
n is odd == true
[n is odd, n is even]
xs is sequence and s is string
messages[0].content is string
messages[1].content is string
messages[1]['content'][0]['type'] == 'image'
messages[-1].role
messages[1:] | length
messages[0]['role'] != 'system'
messages | last
messages[1].content | selectattr('type', 'equalto', 'text') | map(attribute='text') | join
messages[1].content | map(attribute='type') | list
'tool_calls' in messages[0]
messages[0].tool_calls is defined
messages[0].tool_calls is defined and messages[0].tool_calls
messages[0].get('tool_calls')
messages[0].tool_calls | length
messages[0].tool_calls[0]
dict(**d).a
dict(*[d]).b
range(*[1, 4]) | list
range(**{'a': 1})
dict(a=1, **{'a': 2})
[1, 2, 3].0
{'a': {'b': {'c': 1}}}.a.b.c
{'a': 1}['a']
'abc'[1]
(1 if n else 2) + 3
[[1, 2], [3]][0][1]
'a' 'b' ~ 'c'
1.5.is_integer
'1' == 1
"😀"[0]
"😀" | length
1 in (1, 2)
"a" is in(["a"])
n.x
n.x.y
nil.x
nil.x.y
s.x
s.x.y
xs.x
t.x
x y
1 +
(1
[1
{'a'
{'a': }
1 ? 2
a.
a..b
.5
a.1b
foo(1, a=2, 3)
foo(a=1, a=2)
foo(**d, *xs)
'unterminated
]
}
1 = 2
n == 
n is
n |
n | 1
@
a b c
{{ 1 }}
not
in
n in
lambda
1 if
1 else 2
'\x4'
"a" "b" 1
1__0
0x
1.e5
1e
007
"""

STATEMENTS = [
    "{% if n %}a{% endif %}",
    "{% if not n %}a{% elif n > 5 %}b{% else %}c{% endif %}",
    "{% if missing %}a{% elif none %}b{% else %}c{% endif %}",
    "{% if n: %}a{% endif %}",
    "{% if %}a{% endif %}",
    "{% if n %}a",
    "{% if n %}a{% else %}b{% elif 1 %}c{% endif %}",
    "{% endif %}",
    "{% endfor %}",
    "{% unknown %}",
    "{% %}",
    "{% for x in xs %}{{ x }},{% endfor %}",
    "{% for x in xs %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }};{% endfor %}",
    "{% for x in xs %}{{ loop.previtem }}-{{ x }}-{{ loop.nextitem }};{% endfor %}",
    "{% for x in xs %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }}{% endfor %}",
    "{% for x in xs %}{{ loop.cycle('a', 'b') }}{% endfor %}",
    "{% for x in xs %}{{ loop.cycle() }}{% endfor %}",
    "{% for x in [1, 1, 2, 2, 1] %}{{ loop.changed(x) }}{% endfor %}",
    "{% for x in [1, 1, 2] %}{{ loop.changed(x, 1) }}{{ loop.changed() }}{% endfor %}",
    "{% for x in xs %}{{ loop.depth }}{{ loop.depth0 }}{{ loop.unknown }}{% endfor %}",
    "{% for x in xs %}{{ loop }}{% endfor %}",
    "{% for x in xs %}{{ loop | length }}{% endfor %}",
    "{% for x in xs %}{{ loop.unknown.x }}{% endfor %}",
    "{% for x in [] %}a{% else %}empty{% endfor %}",
    "{% for x in xs %}a{% else %}empty{% endfor %}",
    "{% for x in missing %}a{% else %}empty{% endfor %}",
    "{% for x in none %}a{% endfor %}",
    "{% for x in 5 %}a{% endfor %}",
    "{% for x in 'abc' %}{{ x }}.{% endfor %}",
    "{% for x in u %}{{ x }}.{% endfor %}",
    "{% for k in d %}{{ k }}{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}",
    "{% for k, v in d | dictsort %}{{ k }}={{ v }};{% endfor %}",
    "{% for k, v in d | items %}{{ k }}={{ v }}{{ loop.last }};{% endfor %}",
    "{% for (a, b) in [(1, 2), (3, 4)] %}{{ a }}{{ b }}{% endfor %}",
    "{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "{% for a, b in [1] %}x{% endfor %}",
    "{% for a, b in [(1, 2, 3)] %}x{% endfor %}",
    "{% for a, b in ['xy'] %}{{ b }}{{ a }}{% endfor %}",
    "{% for x in xs if x > 1 %}{{ loop.index }}:{{ x }}/{{ loop.length }} {% endfor %}",
    "{% for x in xs if x > 10 %}{{ x }}{% else %}none{% endfor %}",
    "{% for x in xs if x > 1 %}{{ x }}{{ loop.last }}{% endfor %}",
    "{% for x in xs if missing.y %}{{ x }}{% endfor %}",
    "{% for x in range(3) %}{% for y in range(2) %}{{ loop.index }}{{ x }}{{ y }} {% endfor %}{{ loop.index }}|{% endfor %}",
    "{% for x in xs %}{% set outer = loop %}{% for y in [1, 2] %}{{ outer.index }}{{ loop.index }} {% endfor %}{% endfor %}",
    "{% for x in xs | select('odd') %}{{ x }}{{ loop.length }}{{ loop.last }}{% endfor %}",
    "{% for x in xs | map('string') %}{{ loop.revindex }}{{ loop.nextitem }}{% endfor %}",
    "{% set g = xs | select('odd') %}{% for x in g %}{{ x }}{% endfor %}|{% for x in g %}{{ x }}{% endfor %}",
    "{% set g = xs | select %}{{ g | first }}{{ g | first }}{{ g | list }}",
    "{% for x in xs %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}",
    "{% for x in xs %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% endfor %}",
    "{% for x in xs %}{% break %}{% else %}else{% endfor %}",
    "{% for x in xs %}{% continue %}{% else %}else{% endfor %}",
    "{% for x in xs %}{{ x }}{% if x == 1 %}{% break %}{% endif %}{% else %}else{% endfor %}",
    "{% break %}",
    "{% if n %}{% continue %}{% endif %}",
    "{% for x in xs %}{% for y in xs %}{% break %}{% endfor %}{{ x }}{% endfor %}",
    "{% for x in xs %}{% for y in [] %}{% else %}{% break %}{% endfor %}{{ x }}{% endfor %}",
    "{% for x in xs %}{% set y %}a{% break %}b{% endset %}{{ y }}{% endfor %}|",
    "{% for x in xs %}{% filter upper %}a{% if x == 1 %}{% continue %}{% endif %}b{% endfilter %}{% endfor %}|",
    "{% for x in xs %}{% with y = x %}{% if y == 1 %}{% break %}{% endif %}{{ y }}{% endwith %}{% endfor %}",
    "{% for x in xs %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}",
    "{% for loop in xs %}{{ loop }}{% endfor %}",
    "{% for x in xs %}{% set loop = 1 %}{% endfor %}",
    "{% set loop = 5 %}{{ loop }}",
    "{% for item in nested recursive %}{% if item is number %}{{ item }}{% else %}[{{ loop(item) }}]{% endif %}{% endfor %}",
    "{% for item in nested recursive %}{{ loop.depth }}{% if item is iterable %}{{ loop(item) }}{% endif %}{% endfor %}",
    "{% for x in xs %}{{ loop([1]) }}{% endfor %}",
    "{% for x in xs: %}{{ x }}{% endfor %}",
    "{% for x xs %}{% endfor %}",
    "{% for in xs %}{% endfor %}",
    "{% for x in xs %}",
    "{% for 1 in xs %}{% endfor %}",
    "{% for x.y in xs %}{% endfor %}",
    "{% for x in %}{% endfor %}",
    "{% for x in 1, 2, 3 %}{{ x }}{% endfor %}",
    "{% for x in (1, 2) if true else 3 %}{{ x }}{% endfor %}",
    "{% for x in xs if x else 3 %}{{ x }}{% endfor %}",
    "{% set x = 1 %}{{ x }}",
    "{% set x, y = 1, 2 %}{{ x }}{{ y }}",
    "{% set x, y = [1, 2] %}{{ x + y }}",
    "{% set x, y = 1 %}",
    "{% set (x, y) = (1, 2) %}{{ y }}",
    "{% set x = 1, 2 %}{{ x }}",
    "{% set x = %}",
    "{% set 1 = x %}",
    "{% set x.y = 1 %}",
    "{% set true = 1 %}",
    "{% set x = 1 if missing %}{{ x is defined }}",
    "{% set x = 1 %}{% for i in [1, 2] %}{{ x }}{% set x = x + 1 %}{{ x }}{% endfor %}{{ x }}",
    "{% set x = 1 %}{% if true %}{% set x = 2 %}{% endif %}{{ x }}",
    "{% for i in [1] %}{% set y = 5 %}{% endfor %}{{ y is defined }}",
    "{% if false %}{% set n = 1 %}{% endif %}{{ n }}",
    "{{ n }}{% set n = 1 %}{{ n }}",
    "{% for i in [1, 2] %}{{ n }}{% set n = i * 100 %}{{ n }} {% endfor %}{{ n }}",
    "{% for i in [1] %}{{ n }}{% endfor %}{% set n = 1 %}{{ n }}",
    "{% for i in [1] %}{{ n }}{% endfor %}{% if false %}{% set n = 1 %}{% endif %}{{ n }}",
    "{% for i in [1] %}{% for j in [1] %}{{ n }}{% endfor %}{% set n = 5 %}{% endfor %}{{ n }}",
    "{{ n }}{% for i in [1] %}{{ n }}{% endfor %}{% set n = 1 %}",
    "{% macro m() %}{{ n }}{% endmacro %}{{ m() }}{% set n = 1 %}{{ m() }}",
    "{% macro m() %}{% if false %}{% set n = 2 %}{% endif %}{{ n }}{% endmacro %}{{ m() }}",
    "{% with %}{{ n }}{% endwith %}{% set n %}x{% endset %}{% filter trim %}{{ n }}{% endfilter %}",
    "{% generation %}{{ n }}{% endgeneration %}{% if t %}{% set n = 1 %}{% else %}{% set n = 2 %}{% endif %}{{ n }}",
    "{% set ns = namespace(count=0) %}{% for x in xs %}{% set ns.count = ns.count + x %}{% endfor %}{{ ns.count }}",
    "{% set ns = namespace() %}{% set ns.a, ns.b = 1, 2 %}{{ ns.a }}{{ ns.b }}",
    "{% set ns = namespace(found=false) %}{% if not ns.found %}{% set ns.found = true %}{% endif %}{{ ns.found }}{{ ns }}",
    "{% set ns = namespace(items=[]) %}{% for x in xs %}{% set ns.items = ns.items + [x] %}{% endfor %}{{ ns.items }}",
    "{% set ns = namespace() %}{% set ns._x = 1 %}",
    "{% set ns.x = 1 %}",
    "{% set d.x = 1 %}",
    "{% set ns = namespace(a=1) %}{% set ns.a.b = 1 %}",
    "{% set x %}hi {{ n }}{% endset %}[{{ x }}]",
    "{% set x | upper %}hi {{ n }}{% endset %}[{{ x }}]",
    "{% set x | replace('h', 'j') | title %}hi there{% endset %}{{ x }}",
    "{% set x %}<b>{% endset %}{{ x is escaped }}{{ x is string }}",
    "{% set ns = namespace() %}{% set ns.x %}text{% endset %}{{ ns.x }}",
    "{% set a, b %}xy{% endset %}{{ b }}{{ a }}",
    "{% set x %}{% set inner = 1 %}{% endset %}{{ inner is defined }}",
    "{% set x %}unclosed",
    "{% macro m(a, b=2) %}{{ a }}-{{ b }}{% endmacro %}{{ m(1) }} {{ m(1, 3) }} {{ m(b=5, a=4) }}",
    "{% macro m(a) %}{{ a is defined }}{% endmacro %}{{ m() }}",
    "{% macro m(a) %}{{ a.x }}{% endmacro %}{{ m() }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=1) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, a=1) }}",
    "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, x=3) }}",
    "{% macro m(a) %}{{ a }}{{ varargs }}{% endmacro %}{{ m(1, 2, 3) }}{{ m() }}",
    "{% macro m(a, b=a) %}{{ b }}{% endmacro %}{{ m(7) }}",
    "{% macro m(a=1, b) %}{% endmacro %}",
    "{% macro m(a, n=n) %}{{ n }}{% endmacro %}{{ m(1) }}",
    "{% macro m(a=b, b=2) %}{{ a }}{{ b }}{% endmacro %}{{ m() }}{{ m(b=3) }}",
    "{% macro m() %}{{ n }}{{ x }}{% endmacro %}{% set x = 5 %}{{ m() }}",
    "{% macro m() %}{% set n = 99 %}{{ n }}{% endmacro %}{{ m() }}{{ n }}",
    "{% macro m(x) %}{% if x > 0 %}{{ x }}{{ m(x - 1) }}{% endif %}{% endmacro %}{{ m(5) }}",
    "{% macro m() %}<b>{% endmacro %}{{ m() + '<i>' }}{{ m() | upper }}",
    "{% macro m() %}x{% endmacro %}{{ m.name }}{{ m is callable }}{{ m is defined }}",
    "{% macro a() %}A{{ b() }}{% endmacro %}{% macro b() %}B{% endmacro %}{{ a() }}",
    "{% for x in xs %}{% macro m() %}{{ x }}{% endmacro %}{{ m() }}{% endfor %}{{ m is defined }}",
    "{% macro m() %}{{ caller() }}!{% endmacro %}{% call m() %}hi{% endcall %}",
    "{% macro m() %}{{ caller(1, b=2) }}!{% endmacro %}{% call(a, b) m() %}{{ a }}{{ b }}{{ n }}{% endcall %}",
    "{% macro m() %}x{% endmacro %}{% call m() %}hi{% endcall %}",
    "{% macro m() %}{{ caller }}{{ caller is defined }}{% endmacro %}{{ m() }}",
    "{% call n %}{% endcall %}",
    "{% macro m() %}x",
    "{% macro m %}x{% endmacro %}",
    "{% macro m(1) %}x{% endmacro %}",
    "{{ m() }}{% macro m() %}x{% endmacro %}",
    "{% filter upper %}abc {{ s }}{% endfilter %}",
    "{% filter replace('a', 'b') | upper %}abc{% endfilter %}",
    "{% filter trim %}  x  {% endfilter %}|",
    "{% filter nofilter %}x{% endfilter %}",
    "{% filter upper %}{% set q = 1 %}{% endfilter %}{{ q is defined }}",
    "{% with %}{% set n = 1 %}{{ n }}{% endwith %}{{ n }}",
    "{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a is defined }}",
    "{% with n = 1, b = n %}{{ n }}{{ b }}{% endwith %}",
    "{% with (a, b) = (1, 2) %}{{ a }}{{ b }}{% endwith %}",
    "{% with a %}{% endwith %}",
    "{% print 1, 'a', n %}",
    "{% generation %}hello {{ n }}{% endgeneration %}!",
    "{% generation %}{% set q = 1 %}{% endgeneration %}{{ q is defined }}",
    "{% generation %}x",
    "{% for m in messages %}{% generation %}{{ m.role }}{{ loop.index }}{% endgeneration %}\n{% endfor %}",
    "{% for m in messages %}{% generation %}{% continue %}{% endgeneration %}{% endfor %}",
    "{%- for m in messages -%}{%- generation -%} {{ m.role }} {%- endgeneration -%}{%- endfor -%}",
    "{# comment #}a",
    "a {# multi\nline #} b",
    "a\n{# x #}\nb",
    "a\n  {#- x -#}  \nb",
    "a\n  {#+ x +#}  \nb",
    "{# unclosed",
    "{#}a",
    "{#-#}a",
    "{##}a",
    "{% raw %}{{ x }}{% if %}{% endraw %}b",
    "a  {%- raw -%}  {{ x }}  {%- endraw -%}  b",
    "{% raw %}\n x\n{% endraw %}\n y",
    "  {% raw %}x{% endraw %}  ",
    "{% raw %}unclosed",
    "{% raw",
    "{%raw%}{{x}}{%endraw%}",
    "{% raw %}{% raw %}{% endraw %}",
    "{{ '{{' }}{{ '}}' }}{{ '{%' }}",
    "{{ {'a': {'b': 1}}['a'] }}",
    "{{ {'a': {'b': 1}}}}",
    "{{ 'a' -}}   b",
    "a   {{- 'b' }}",
    "a\n\n  {{- 'b' -}}  \n\n c",
    "a  {{+ 'b' }}",
    "a\n    {% if n %}\n    b\n    {% endif %}\n  c\n",
    "a\n    {%+ if n %}\n    b\n    {%+ endif %}\n  c\n",
    "a\n    {%- if n -%}\n    b\n    {%- endif -%}\n  c\n",
    "a\n    {% if n +%}\n    b\n    {% endif +%}\n  c\n",
    "a x {% if n %} b {% endif %} c",
    "  {{ n }}\n  {{ n }}\n",
    "\n\n{% if n %}\n\nx\n\n{% endif %}\n\n",
    "x\n",
    "x\n\n",
    "\n",
    "",
    "\r\na\r\n{% if n %}\r\nb\r{% endif %}\r\nc\r\n",
    "\u3000 {%- if n %}\xa0{% endif -%}\u3000x",
    "\xa0 {% if n %}x{% endif %}",
    "{% set x = 1 %}\n{% set y = 2 %}\n{{ x }}{{ y }}\n",
    "{% for m in messages %}\n{{ m.role }}\n{% endfor %}\n",
    "{% for m in messages %}\n  {% if m.role == 'user' %}\n    U\n  {% else %}\n    O\n  {% endif %}\n{% endfor %}",
    "a {% if n %}b{% endif %}\nc {% if n %}d\n{% endif %}e",
    "{{ 1 }}\n{{ 2 }}",
    "{{ '\n' }}{{ \"a\\nb\" }}",
    "{{ n }",
    "{{ n",
    "{{ }}",
    "{{ n %}",
    "{% if n }}{% endif %}",
    "{ { n } }",
    "{ % if % }",
    "a { b } c % d # e",
    "}} %} #}",
    "{{ -n }}{{- n }}{{-n}}",
    "{{ n -}}\n{{ n }}",
    "{% do x %}",
    "{% trans %}x{% endtrans %}",
    "{% set x = s | nofilter %}",
    "{% if false %}{{ s | nofilter }}{% endif %}ok",
    "{% if false %}{{ s is notest }}{% endif %}ok",
    "{{ (s | nofilter) if false else 'ok' }}",
    "{% if true %}{{ s | nofilter }}{% endif %}",
    "{% for x in [] %}{{ x | nofilter }}{% endfor %}",
    "{% if false %}{{ raise_exception('x') }}{% endif %}ok",
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system = false %}{% endif %}{% for m in loop_messages %}{{ loop.index0 }}{{ m.role }}{% endfor %}{{ system }}",
    "{%- set ns = namespace(img=0) -%}{%- for m in messages -%}{%- if m.content is not string -%}{%- for c in m.content -%}{%- if c.type == 'image' or 'image' in c -%}{%- set ns.img = ns.img + 1 -%}Picture {{ ns.img }}: {%- elif 'text' in c -%}{{ c.text }}{%- endif -%}{%- endfor -%}{%- endif -%}{%- endfor -%}",
]


def expressions():
    # A backslash before a line end continues the snippet: the string literal over two lines.
    text = _EXPRESSIONS.strip("\n").replace("\\\n", "\0")
    return [line.replace("\0", "\\\n") for line in text.split("\n")]


def snippets():
    """Pairs of template and variables."""
    cases = [("{{ " + expression + " }}", VARIABLES) for expression in expressions()]
    return cases + [(template, VARIABLES) for template in STATEMENTS]
