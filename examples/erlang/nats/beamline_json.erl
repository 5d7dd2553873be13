%% JSON (RFC 8259) to Erlang terms and back; OTP has a module of its own for this from 27 on.
%%
%% Objects are maps with binaries as keys, strings are UTF-8 binaries, null is the atom `null`.
%% Nesting is limited, so that no document can exhaust the stack.
-module(beamline_json).

-export([decode/1, encode/1]).

-type json() :: null | boolean() | number() | binary() | [json()] | #{binary() => json()}.
%% What can be written: beside JSON itself, atoms as keys and strings.
-type encodable() :: atom() | number() | binary() | [encodable()] | #{atom() | binary() => encodable()}.

-define(MAX_DEPTH, 128).
-define(is_space(C), (C =:= $\s orelse C =:= $\t orelse C =:= $\n orelse C =:= $\r)).
-define(is_digit(C), (C >= $0 andalso C =< $9)).

-spec decode(binary()) -> {ok, json()} | {error, invalid_json}.
decode(Text) ->
    try
        {Value, Rest} = value(space(Text), ?MAX_DEPTH),
        <<>> = space(Rest),
        {ok, Value}
    catch
        error:_ -> {error, invalid_json}
    end.

%% Fails on a binary that is not UTF-8.
-spec encode(encodable()) -> binary().
encode(Value) ->
    iolist_to_binary(text(Value)).

%% Decoding. Whatever does not match is an error, caught in one place.

value(<<"{", Rest/binary>>, Depth) when Depth > 0 -> object(space(Rest), Depth - 1);
value(<<"[", Rest/binary>>, Depth) when Depth > 0 -> list(space(Rest), Depth - 1);
value(<<"\"", Rest/binary>>, _) -> string(Rest, <<>>);
value(<<"true", Rest/binary>>, _) -> {true, Rest};
value(<<"false", Rest/binary>>, _) -> {false, Rest};
value(<<"null", Rest/binary>>, _) -> {null, Rest};
value(Text, _) -> number(Text).

object(<<"}", Rest/binary>>, _) -> {#{}, Rest};
object(Text, Depth) -> fields(Text, Depth, #{}).

fields(<<"\"", Text/binary>>, Depth, Fields) ->
    {Key, Rest} = string(Text, <<>>),
    <<":", Rest2/binary>> = space(Rest),
    {Value, Rest3} = value(space(Rest2), Depth),
    case space(Rest3) of
        <<",", Rest4/binary>> -> fields(space(Rest4), Depth, Fields#{Key => Value});
        <<"}", Rest4/binary>> -> {Fields#{Key => Value}, Rest4}
    end.

list(<<"]", Rest/binary>>, _) -> {[], Rest};
list(Text, Depth) -> items(Text, Depth, []).

items(Text, Depth, Items) ->
    {Item, Rest} = value(Text, Depth),
    case space(Rest) of
        <<",", Rest2/binary>> -> items(space(Rest2), Depth, [Item | Items]);
        <<"]", Rest2/binary>> -> {lists:reverse(Items, [Item]), Rest2}
    end.

string(<<"\"", Rest/binary>>, Read) -> {Read, Rest};
string(<<"\\u", High:4/binary, "\\u", Low:4/binary, Rest/binary>>, Read) ->
    case {hex(High), hex(Low)} of
        {H, L} when H >= 16#D800, H =< 16#DBFF, L >= 16#DC00, L =< 16#DFFF ->
            Point = 16#10000 + ((H - 16#D800) bsl 10) + (L - 16#DC00),
            string(Rest, <<Read/binary, Point/utf8>>);
        {H, _} ->
            string(<<"\\u", Low/binary, Rest/binary>>, <<Read/binary, H/utf8>>)
    end;
string(<<"\\u", Hex:4/binary, Rest/binary>>, Read) ->
    string(Rest, <<Read/binary, (hex(Hex))/utf8>>);
string(<<"\\", C, Rest/binary>>, Read) ->
    string(Rest, <<Read/binary, (unescaped(C))>>);
string(<<C/utf8, Rest/binary>>, Read) when C >= $\s ->
    string(Rest, <<Read/binary, C/utf8>>).

%% A surrogate without its other half is no character: `/utf8` refuses it.
hex(Digits) ->
    true = lists:all(fun(C) -> ?is_digit(C) orelse (C bor 32 >= $a andalso C bor 32 =< $f) end,
                     binary_to_list(Digits)),
    binary_to_integer(Digits, 16).

unescaped($b) -> $\b;
unescaped($f) -> $\f;
unescaped($n) -> $\n;
unescaped($r) -> $\r;
unescaped($t) -> $\t;
unescaped(C) when C =:= $"; C =:= $\\; C =:= $/ -> C.

%% Erlang reads no float without a fraction, so `1e5` is read as `1.0e5`.
number(Text) ->
    {match, [{0, Length} | Parts]} = re:run(
        Text, "^(-?(?:0|[1-9][0-9]*))(\\.[0-9]+)?([eE][+-]?[0-9]+)?", [anchored]
    ),
    <<All:Length/binary, Rest/binary>> = Text,
    Part = fun({-1, _}) -> <<>>; ({At, Size}) -> binary:part(All, At, Size) end,
    case [Part(At) || At <- Parts] of
        [Int] -> {binary_to_integer(Int), Rest};
        [Int, Fraction] -> {binary_to_float(<<Int/binary, Fraction/binary>>), Rest};
        [Int, <<>>, Exponent] -> {binary_to_float(<<Int/binary, ".0", Exponent/binary>>), Rest};
        [_, _, _] -> {binary_to_float(All), Rest}
    end.

space(<<C, Rest/binary>>) when ?is_space(C) -> space(Rest);
space(Text) -> Text.

%% Encoding: of what messages are made of here.

text(Value) when is_boolean(Value); Value =:= null -> atom_to_binary(Value);
text(Value) when is_atom(Value) -> quoted(atom_to_binary(Value));
text(Value) when is_binary(Value) -> quoted(Value);
text(Value) when is_integer(Value) -> integer_to_binary(Value);
text(Value) when is_float(Value) -> float_to_binary(Value, [short]);
text(Value) when is_list(Value) -> [$[, lists:join($,, [text(Item) || Item <- Value]), $]];
text(Value) when is_map(Value) ->
    Fields = [[text(Key), $:, text(Item)] || {Key, Item} <- maps:to_list(Value)],
    [${, lists:join($,, Fields), $}].

quoted(Text) ->
    %% Fails on what is not UTF-8; a comprehension over bytes would end there silently.
    [$", [escaped(C) || C <- unicode:characters_to_list(Text)], $"].

escaped($") -> <<"\\\"">>;
escaped($\\) -> <<"\\\\">>;
escaped(C) when C < $\s -> io_lib:format("\\u~4.16.0b", [C]);
escaped(C) -> <<C/utf8>>.
